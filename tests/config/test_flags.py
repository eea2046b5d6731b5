"""Flags and variables: what is typed is what is meant, and a mistake is told with the way out."""

import subprocess
import sys

import pytest

from verlaunch.cli import main
from verlaunch.config.flags import load_table, parse
from verlaunch.config.help import default_words, help_text, markdown_table
from verlaunch.config.values import Flag, allowed
from verlaunch.errors import UserError

TABLE = load_table()
NUMBERS = [flag for flag in TABLE if flag.type in ("int", "float")]
DESIGNED = {  # the variables that scripts rely on, and the defaults that they count on
    "MODEL_PATH": ("model", "Qwen/Qwen2.5-0.5B; on the CPU a tiny demo model"),
    "REWARD_MODEL_PATH": ("reward_model", "none"),
    "CLIP_RATIO": ("clip_ratio", "0.2"),
    "GAE_GAMMA": ("gamma", "1.0"),
    "GAE_LAMBDA": ("lam", "0.95"),
    "KL_COEF": ("kl_coef", "0.001"),
    "PPO_EPOCHS": ("ppo_epochs", "1"),
    "CRITIC_LR": ("critic_lr", "1e-05"),
    "CRITIC_EPOCHS": ("critic_epochs", "1"),
    "CLIPRANGE_VALUE": ("cliprange_value", "0.5"),
    "ROLLOUT_N": ("rollout_n", "1"),
    "ROLLOUT_TEMPERATURE": ("temperature", "1.0"),
    "ROLLOUT_TP_SIZE": ("tp_size", "1"),
    "GPU_MEMORY_UTILIZATION": ("gpu_memory_utilization", "0.5; on the CPU 0.1"),
    "N_GPUS": ("n_gpus", "1"),
    "NNODES": ("nnodes", "1"),
    "NODE_RANK": ("node_rank", "0"),
    "MASTER_ADDR": ("master_addr", "this machine"),
}
DEFAULTS = {
    "lr": "1e-06",
    "rm_api_type": "dashscope",
    "rm_model": "qwen-plus",
    "recipe": "train_sh",
}


def problems_of(argv: list[str], env: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        parse(argv, env or {}, TABLE)
    return caught.value.problems


def test_dashes_underscores_and_equals_are_the_same_flag() -> None:
    for argv in (["--batch_size", "64"], ["--batch-size", "64"], ["--batch-size=64"]):
        assert parse(argv, {}, TABLE).values == {"batch_size": 64}


def test_a_flag_beats_its_variable_even_a_broken_one() -> None:
    request = parse(["--kl_coef", "0.2"], {"KL_COEF": "broken"}, TABLE)
    assert request.values == {"kl_coef": 0.2}
    assert request.sources == {"kl_coef": "--kl_coef"}


def test_a_variable_counts_and_an_empty_one_does_not() -> None:
    request = parse([], {"KL_COEF": "0", "MODEL_PATH": "", "UNRELATED": "1"}, TABLE)
    assert request.values == {"kl_coef": 0.0}
    assert request.sources == {"kl_coef": "KL_COEF"}


@pytest.mark.parametrize(
    ("argv", "verbose"), [(["--verbose"], True), (["--verbose", "false"], False)]
)
def test_a_switch_needs_no_value_and_takes_one(argv: list[str], verbose: bool) -> None:
    assert parse(argv, {}, TABLE).values == {"verbose": verbose}


def test_a_switch_leaves_the_next_override_alone() -> None:
    request = parse(["--verbose", "critic.strategy=fsdp", "~data.seed"], {}, TABLE)
    assert request.overrides == ("critic.strategy=fsdp", "~data.seed")


def test_negative_numbers_are_values_not_flags() -> None:
    assert problems_of(["--kl_coef", "-0.1"]) == ("--kl_coef -0.1: takes a number at least 0.",)


def test_lists_split_at_commas_repeat_and_take_column_maps() -> None:
    argv = ["--data", "a.json, b.json", "--data={path: c.json, input: question}"]
    maps = {"path": "c.json", "input": "question"}
    assert parse(argv, {}, TABLE).values["data"] == ["a.json", "b.json", maps]


@pytest.mark.parametrize("flag", NUMBERS, ids=lambda flag: flag.name)
@pytest.mark.parametrize("text", ["abc", "nan", "inf", "", "-1", "1e999", "0x10", "1,2"])
def test_numbers_out_of_range_are_refused_with_what_is_allowed(flag: Flag, text: str) -> None:
    (problem,) = problems_of([f"--{flag.name}={text}"])
    assert f"--{flag.name}" in problem
    assert allowed(flag) in problem


@pytest.mark.parametrize("flag", NUMBERS, ids=lambda flag: flag.name)
def test_bounds_themselves_are_in_or_out_as_the_table_says(flag: Flag) -> None:
    inside = [bound for bound in (flag.min, flag.max) if bound is not None]
    outside = [bound for bound in (flag.above, flag.below) if bound is not None]
    for bound in inside:
        assert parse([f"--{flag.name}={bound}"], {}, TABLE).values == {flag.name: bound}
    for bound in outside:
        problems_of([f"--{flag.name}={bound}"])


def test_all_mistakes_are_told_at_once() -> None:
    argv = ["--bach-size", "4", "--lr", "0", "--model", "--adv_estimator", "gea", "stray"]
    problems = problems_of([*argv, "kl_coef=3", "--critic.strategy=fsdp"], {"GAE_LAMBDA": "x"})
    assert problems == (
        "--bach-size is not a flag. Did you mean --batch_size?",
        "--model needs a value: --model NAME_OR_FOLDER.",
        "stray: what does it belong to? A flag starts with --, a verl key is written key=value, "
        "and a text with spaces needs quotes.",
        "kl_coef=3: kl_coef is a flag: --kl_coef 3.",
        "--critic.strategy=fsdp: verl's own keys are written without dashes: critic.strategy=fsdp.",
        "GAE_LAMBDA=x: takes a number at least 0 and at most 1.",
        "--lr 0: takes a number above 0.",
        "--adv_estimator gea: takes one of gae, grpo, rloo, reinforce_plus_plus. Did you mean gae?",
    )


def test_a_choice_inside_a_list_is_checked() -> None:
    (problem,) = problems_of(["--logger", "wandb,tensorbord"])
    assert "Did you mean tensorboard?" in problem


def test_a_cluster_job_on_one_machine_is_no_mistake() -> None:
    env = {"MASTER_ADDR": "10.0.0.1", "NODE_RANK": "0", "NNODES": "1"}
    assert parse(["--use_api_reward", "false"], env, TABLE).action == "run"


def test_what_a_cluster_has_set_for_its_own_use_is_no_mistake_on_one_machine() -> None:
    env = {"MASTER_PORT": "tcp://10.0.0.7:80", "NODE_RANK": "second", "PORT_RANGE": "no"}
    assert parse([], env, TABLE).values == {}
    assert len(problems_of(["--nnodes", "2"], env)) == 2  # of port_range more is known later


def test_a_port_that_kubernetes_has_set_is_told_as_its_doing() -> None:
    env = {"MASTER_PORT": "tcp://10.0.0.7:80"}
    (problem,) = problems_of(["--nnodes", "2"], env)
    assert "for a Service that is named master" in problem and "unset MASTER_PORT" in problem
    (problem,) = problems_of(["--nnodes", "2"], {"MASTER_PORT": "http"})
    assert "Kubernetes" not in problem
    assert (
        parse(["--nnodes", "2", "--master_port", "4000"], env, TABLE).values["master_port"] == 4000
    )


@pytest.mark.parametrize(
    ("words", "env"),
    [
        (["--nnodes", "2"], {}),
        ([], {"NNODES": "2"}),
        (["trainer.nnodes=2"], {}),
    ],
)
def test_with_several_machines_every_variable_of_theirs_counts(
    words: list[str], env: dict[str, str]
) -> None:
    theirs = {flag.env: flag for flag in TABLE if flag.needs and flag.env}
    said = {name: "2" for name in theirs}
    values = parse(words, {**env, **said}, TABLE).values
    assert {flag.name for flag in theirs.values()} <= values.keys()
    assert {"node_rank", "master_addr", "master_port", "node_addr", "port_range", "token_file"} <= (
        values.keys()
    )
    assert parse([], said, TABLE).values == {}


@pytest.mark.parametrize("action", ["help", "version", "print_config", "dry_run"])
def test_actions_are_no_values(action: str) -> None:
    request = parse([f"--{action}"], {}, TABLE)
    assert (request.action, request.values) == (action, {})


def test_help_answers_whatever_else_is_wrong() -> None:
    assert parse(["--nonsense", "-h"], {}, TABLE).action == "help"


def test_the_promised_variables_and_defaults_are_there() -> None:
    words = default_words(TABLE)
    assert {flag.env: (flag.name, words[flag.name]) for flag in TABLE if flag.env in DESIGNED} == (
        DESIGNED
    )
    assert {name: words[name] for name in DEFAULTS} == DEFAULTS


def test_every_flag_says_its_default() -> None:
    words = default_words(TABLE)
    silent = [flag.name for flag in TABLE if not flag.action and not words[flag.name]]
    assert silent == []


def test_names_and_variables_are_used_once() -> None:
    names = [flag.name for flag in TABLE]
    variables = [flag.env for flag in TABLE if flag.env]
    assert len(set(names)) == len(names)
    assert len(set(variables)) == len(variables)


def test_help_fits_80_columns_and_names_every_flag() -> None:
    text = help_text(TABLE, {"score": "try a reward"})
    assert "\n  ./train.sh score             try a reward\n" in text
    assert max(map(len, text.splitlines())) <= 80
    assert [flag.name for flag in TABLE if f"--{flag.name}" not in text] == []


def test_the_markdown_tables_have_a_row_of_four_cells_per_flag() -> None:
    rows = [line for line in markdown_table(TABLE).splitlines() if line.startswith("| `--")]
    assert len(rows) == len(TABLE)
    assert {row.replace("\\|", "").count("|") for row in rows} == {5}


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (["--lora-r", "--lora_r"], ["--lora_rank"]),
        (["--adv-estimator", "gr"], ["grpo"]),
        (["sc"], ["score"]),
        (["score", "--lora_r"], ["--lora_rank"]),
    ],
)
def test_bash_completes_commands_flags_and_choices(
    words: list[str], answers: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion"]) == 0
    typed = f"COMP_WORDS=(verlaunch {' '.join(words)}); COMP_CWORD={len(words)}; _verlaunch"
    script = f'{capsys.readouterr().out}\n{typed}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    shown = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == answers


def test_flags_and_help_import_nothing_heavy() -> None:
    code = (
        "import sys; from verlaunch.config.help import help_text;"
        "from verlaunch.config.flags import load_table;"
        "help_text(load_table(), {});"
        "print(sorted({'torch', 'verl', 'hydra', 'omegaconf', 'ray'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
