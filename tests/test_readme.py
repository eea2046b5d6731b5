"""The papers tell the truth: their commands run, their tables and links and paths are right.

Every command in a fenced bash block is run in a folder with a checkout's files: `./train.sh ...` as
`python -m verlaunch ... --dry_run`, scripts as they stand. Words in capitals get a value from
`VALUES`, providers of judges a key that opens nothing, and files shown on the page are written
first. What cannot be run cheaply stands in `ELSEWHERE`, with what runs it.
"""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from rewards.judge.prompts import presets
from rewards.judge.providers import PROVIDERS
from tests.recorded_run import write_run
from tests.reward_models import make
from verlaunch.checkpoints import note_score, write_manifest
from verlaunch.flags import load_table

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
PAPERS = (*READMES, "CONTRIBUTING.md", "rewards/README.md", "data/README.md")

# tests have no network
VALUES = {"FOLDER": "model", "Qwen/Qwen2.5-0.5B": "model", "REWARD_MODEL": "reward-model"}
KEYS = {name: "a-key-of-nobody" for provider in PROVIDERS.values() for name in provider.keys}
ELSEWHERE = {
    "git clone REPOSITORY verlaunch && cd verlaunch": "tests/test_bootstrap.py",  # needs a network
    "./train.sh": "tests/e2e/test_demo.py",
    "./scripts/test.sh": ".ci/run",
    './scripts/test.sh -m "not e2e"': ".ci/run",
    "./scripts/test.sh tests/test_flags.py -x": ".ci/run",
    "scripts/lock.sh": "locks/cpu.txt",  # made by it; needs a package index
    ".venv/bin/python scripts/convert_reward_model.py STARLING starling --tokenizer LLAMA_2_CHAT": (
        "tests/test_reward_starling.py"
    ),
}
ACTIONS = {f"--{flag.name}" for flag in load_table() if flag.action}


def text_of(paper: str) -> str:
    return (ROOT / paper).read_text(encoding="utf-8")


def blocks(paper: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(paper), re.M | re.S)


def commands(paper: str) -> list[str]:
    text = "".join(blocks(paper, "(?:bash|sh)")).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.split("#")[0].strip()]


def all_commands() -> list[str]:
    """Each once, in order."""
    return list(dict.fromkeys(command for paper in PAPERS for command in commands(paper)))


def files_shown(paper: str) -> dict[str, str]:
    """name -> content of the files that the page writes out: `name` and a colon, then a block."""
    shown = re.findall(
        r"`([\w.]+)`[:：]\n\n```(?:json|python|yaml)\n(.*?)^```$", text_of(paper), re.M | re.S
    )
    return dict(shown)


def all_files_shown() -> dict[str, str]:
    """Of all papers; a name stands for one and the same file."""
    found: dict[str, str] = {}
    for paper in PAPERS:
        for name, content in files_shown(paper).items():
            assert found.setdefault(name, content) == content, f"{paper}: another {name}"
    return found


def paths_in_tree(paper: str) -> list[str]:
    tree = next(block for block in blocks(paper, "text") if block.startswith("train.sh "))
    found, folders = [], []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [line.split()[0]]
        found.append("".join(folders))
    return found


def write_model(folder: Path, tiny: Path) -> None:
    """The tiny model with room for prompts and responses of the default lengths."""
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = 4096
    (folder / "config.json").write_text(json.dumps(config))


def write_checkpoint(folder: Path, model: Path) -> None:
    """What one rank of verl saves of a policy."""
    import torch
    from transformers import AutoModelForCausalLM

    actor = folder / "actor"
    shutil.copytree(model, actor / "huggingface", ignore=shutil.ignore_patterns("*.safetensors"))
    (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": 1}))
    weights = AutoModelForCausalLM.from_pretrained(model).state_dict()
    torch.save(weights, actor / "model_world_size_1_rank_0.pt")
    write_manifest(folder, step=60, ranks=1)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, tiny_qwen2: Path) -> Path:
    """A checkout's papers, data and scripts, the pages' files, models, and what a run leaves."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("data", "scripts"):
        shutil.copytree(ROOT / name, folder / name)
    for paper in READMES:
        shutil.copy(ROOT / paper, folder)
    for name, content in all_files_shown().items():
        (folder / name).write_text(content)
    write_model(folder / "model", tiny_qwen2)
    make(folder / VALUES["REWARD_MODEL"], "DebertaV2ForSequenceClassification")
    write_run(folder / "outputs", steps=60)
    checkpoints = folder / "outputs" / "checkpoints"
    write_checkpoint(checkpoints / "global_step_60", folder / "model")
    note_score(checkpoints, 60, 0.9)
    return folder


def to_run(command: str) -> tuple[dict[str, str], list[str]]:
    """Variables and arguments of the cheap form of a command."""
    words = [VALUES.get(word, word) for word in shlex.split(command, comments=True)]
    given = {}
    while "=" in words[0]:
        name, _, given[name] = words.pop(0).partition("=")
    program, *rest = words
    if program in ("./train.sh", ".venv/bin/verlaunch"):
        look = [] if ACTIONS & set(rest) else ["--dry_run"]
        return given, [sys.executable, "-m", "verlaunch", *rest, *look, "--hardware", "cpu"]
    if program == ".venv/bin/python":
        # The programs of the page's own data do no harm, also where they cannot be isolated.
        trusted = ["--allow_unsafe_code"] if "scripts/score.py" in rest else []
        return given, [sys.executable, *rest, *trusted]
    raise AssertionError(f"{command}: not known how to run it cheaply; see ELSEWHERE")


@pytest.mark.parametrize(
    "command", [command for command in all_commands() if command not in ELSEWHERE]
)
def test_every_command_runs(command: str, checkout: Path, tmp_path: Path) -> None:
    given, argv = to_run(command)
    flags = {flag.env for flag in load_table() if flag.env}
    env = {name: value for name, value in os.environ.items() if name not in flags}
    # Each in a folder of its own: the commands are examples, not one run.
    folders = {"VERLAUNCH_CACHE": str(checkout / "cache"), "OUTPUT_DIR": str(tmp_path)}
    env |= {**folders, **KEYS, **given}
    done = subprocess.run(argv, cwd=checkout, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]


def test_commands_that_are_run_elsewhere_are_still_there() -> None:
    assert set(ELSEWHERE) <= set(all_commands())
    assert [file for file in ELSEWHERE.values() if not (ROOT / file).is_file()] == []


def test_both_readmes_have_the_same_commands_and_files() -> None:
    english, chinese = READMES
    assert commands(english) == commands(chinese)
    assert files_shown(english) == files_shown(chinese)
    own = {"my.json", "my_reward.py", "my_rules.py", "rules.yaml", "mix.yaml", "short.yaml",
           "my_way.yaml"}  # fmt: skip
    assert set(files_shown(english)) == own


def imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reward_on_the_page_tells_right_from_wrong(checkout: Path) -> None:
    score = imported(checkout / "my_reward.py").compute_score
    right, wrong = (score("", text, "42") for text in ("It is 42.", "It is 41."))
    assert right["score"] > wrong["score"] and right.keys() == wrong.keys()


def test_the_rule_on_the_page_gives_more_for_nearer_numbers(checkout: Path) -> None:
    near = imported(checkout / "my_rules.py").near
    said = ("so 1,000", "so 990", "so 960", "so 899", "no idea", "")
    scores = [near(text, "1000") for text in said]
    assert scores == pytest.approx([1.0, 0.9, 0.6, 0.0, 0.0, 0.0])
    assert near("0.05", "0") == pytest.approx(0.5)


def rows_of_table(paper: str, first: str) -> str:
    """The line of a table whose first cell begins with the word."""
    return next(line for line in text_of(paper).splitlines() if line.startswith(f"| `{first}`"))


@pytest.mark.parametrize("paper", READMES)
def test_the_judges_on_the_page_are_those_of_the_code(paper: str) -> None:
    settings = yaml.safe_load((ROOT / "rewards" / "api_reward_config.yaml").read_text())
    listed = (ROOT / "rewards" / "judge" / "prices.yaml").read_text()
    for name, provider in PROVIDERS.items():
        row, model = rows_of_table(paper, name), settings["default_models"][name]
        dollars = [f"{price:.2f}" for price in yaml.safe_load(listed)[name][model]]
        assert [word for word in (*provider.keys, model, *dollars) if word not in row] == []
    as_of = re.search(r"\d{4}-\d\d-\d\d", listed)
    assert as_of and as_of[0] in text_of(paper)
    assert [name for name in presets() if f"`{name}`" not in text_of(paper)] == []


@pytest.mark.parametrize("paper", READMES)
def test_the_sum_on_the_page_is_right(paper: str) -> None:
    plain = " ".join(text_of(paper).split()).replace("×", "x").replace("$", "")
    one = r"\(([\d,]+) x ([\d.]+) \+ (\d+) x ([\d.]+)\) / 1,000,000"
    found = re.search(rf"([\d,]+) x {one} = ([\d.]+)", plain)
    assert found
    calls, tokens_in, price_in, tokens_out, price_out, dollars = (
        float(number.replace(",", "")) for number in found.groups()
    )
    per_call = (tokens_in * price_in + tokens_out * price_out) / 1e6
    assert calls * per_call == pytest.approx(dollars, abs=0.005)


@pytest.mark.parametrize("paper", [*READMES, "rewards/README.md"])
def test_every_built_in_rule_stands_in_the_tables(paper: str) -> None:
    table = yaml.safe_load((ROOT / "rewards" / "rules.yaml").read_text())
    targets = [line["rule"] if isinstance(line, dict) else line for line in table.values()]
    rules = {target.partition(":")[0] for target in targets}
    assert [rule for rule in sorted(rules) if f"`{rule}`" not in text_of(paper)] == []
    patterns = [name for name in table if "/" not in name or name.endswith("/*")]
    missing = [name for name in patterns if f"`{name}`" not in text_of(paper)]
    assert missing == [] or paper not in READMES


def test_the_flags_tables_are_up_to_date() -> None:
    check = [sys.executable, str(ROOT / "scripts" / "make_docs.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("paper", [*PAPERS, "CHANGELOG.md"])
def test_every_local_link_leads_somewhere(paper: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", text_of(paper))
    local = [target for target in targets if not target.startswith("http")]
    folder = (ROOT / paper).parent
    assert [target for target in local if not (folder / target).exists()] == []


@pytest.mark.parametrize("paper", READMES)
def test_every_path_in_the_tree_exists_and_no_file_of_a_room_is_missing(paper: str) -> None:
    paths = paths_in_tree(paper)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    rooms = [ROOT / room for room in ("configs", "rewards", "verlaunch", "scripts")]
    files = {path.relative_to(ROOT).as_posix() for room in rooms for path in room.glob("[a-z]*.*")}
    assert files - set(paths) == set()
