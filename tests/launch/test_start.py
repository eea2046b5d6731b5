"""The story of a start, up to the process that trains: a small real one stands in its place."""

import asyncio
import functools
import json
import sys
from pathlib import Path

import pytest

from rewards.part import Row
from rewards.spec import RULES, ModelSpec, PartSpec, RewardSpec, RuleSpec, from_dict
from tests.judge_servers import JudgeServer
from tests.reward_models import make
from verlaunch.config.compose import compose
from verlaunch.config.flags import parse
from verlaunch.config.recipes import DEMO_RECIPE
from verlaunch.errors import UserError, stopping, warnings
from verlaunch.inputs import choice
from verlaunch.inputs.choice import Inputs, with_demo
from verlaunch.inputs.data.sources import sources
from verlaunch.launch import head_start, shown, start
from verlaunch.launch.run import Launch, run
from verlaunch.machine.hardware import Machine
from verlaunch.plan import foresight
from verlaunch.plan.asked import Asked
from verlaunch.plan.reward.trial import served
from verlaunch.plan.reward.trial.rows import first_rows
from verlaunch.plan.reward.trial.trial import Trial, try_reward
from verlaunch.record.checkpoints.search import latest
from verlaunch.record.report.recorder import Recorder

ROWS = [{"prompt": f"{i}+1=", "ground_truth": str(i + 1), "data_source": "math_reasoning"}
        for i in range(40)]  # fmt: skip
# Trains nothing, but saves: what the launcher sees of a run of so many steps.
DRIVER = """
import json, sys
from pathlib import Path
from verlaunch.record.checkpoints.manifest import write_manifest
from verlaunch.record.channel import Channel
launch = json.loads(Path(sys.argv[1]).read_text())
trainer = launch["config"]["trainer"]
step = trainer["total_training_steps"]
folder = Path(trainer["default_local_dir"]) / f"global_step_{step}"
(folder / "actor").mkdir(parents=True, exist_ok=True)
(folder / "actor" / "weights").write_text("w")
write_manifest(folder, step, trainer["n_gpus_per_node"])
channel = Channel(Path(launch["record"]))
channel.log({"critic/score/mean": 0.5}, step=step)
channel.event("saved", step=step)
channel.event("exported", step=step)
channel.event("finished", step=step)
"""


class Bench:
    """A folder where runs are started with good data and a tiny model."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model, self.out = folder, model, folder / "out"
        (folder / "data.json").write_text(json.dumps(ROWS))

    def asked(self, *words: str, model: Path | None = None) -> Asked:
        words = ("--model", str(model or self.model), "--data", str(self.folder / "data.json"),
                 "--output_dir", str(self.out), *words)  # fmt: skip
        config = compose(parse(words, {}), "cpu")
        return Asked(config, Machine(2, 24.0), f"verlaunch {' '.join(words)}")

    def run(self, *words: str, model: Path | None = None) -> int:
        return start.start(self.asked(*words, model=model))

    def dry_run(self, *words: str) -> int:
        return shown.dry_run(self.asked(*words))

    def refusal(self, *words: str, model: Path | None = None) -> str:
        with pytest.raises(UserError) as caught:
            self.run(*words, model=model)
        return str(caught.value)

    def launch(self) -> Launch:
        return Launch(**json.loads((self.out / "logs" / "launch.json").read_text()))


@pytest.fixture
def bench(tmp_path: Path, tiny_qwen2: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("VERLAUNCH_CACHE", str(cache))
    driver = (sys.executable, "-c", DRIVER)
    monkeypatch.setattr(start, "run", functools.partial(run, driver=driver))
    monkeypatch.setattr(head_start, "pays", lambda *_: False)  # it would start verl's driver
    # The reports of each run would take most of the time; test_report_recorder.py writes them.
    monkeypatch.setattr(Recorder, "_write", lambda recorder: None)
    return Bench(tmp_path, tiny_qwen2)


def test_a_run_leaves_its_record(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("--steps", "3") == 0
    screen = capsys.readouterr().out
    assert "38 training and 2 validation prompts of 40 rows read (math_reasoning 40)" in screen
    assert "the reference answer ('1') scores 1.00, junk 0.00" in screen
    assert screen.endswith(f"Done. Checkpoints and the final model: {bench.out}/checkpoints\n")
    names = {path.name for path in bench.out.iterdir()}
    assert names == {"run.json", "config.yaml", "command.sh", "environment.json", "logs",
                     "metrics.jsonl", "checkpoints"}  # fmt: skip


def test_verl_gets_absolute_paths_and_no_open_number(bench: Bench) -> None:
    bench.run("--steps", "3")
    launch = bench.launch()
    verl = launch.config
    for path in (verl["actor_rollout_ref"]["model"]["path"], verl["critic"]["model"]["path"],
                 verl["critic"]["model"]["tokenizer_path"], verl["data"]["train_files"],
                 verl["data"]["val_files"], verl["trainer"]["default_local_dir"],
                 launch.record, launch.export):  # fmt: skip
        assert Path(path).is_absolute()
    assert verl["trainer"]["resume_mode"] == "disable"
    assert verl["data"]["train_batch_size"] == 38
    assert "verlaunch" not in verl


def test_the_driver_gets_the_reward_and_what_was_learnt_of_it(bench: Bench) -> None:
    (bench.folder / "mine.py").write_text(
        "def score(solution_str, ground_truth):\n"
        "    return {'score': solution_str == ground_truth, 'short': len(solution_str) < 9}\n"
    )
    bench.run("--steps", "3", "--reward_fn", f"{bench.folder}/mine.py:score")
    launch = bench.launch()
    (part,) = from_dict(launch.reward).parts
    assert part.source == RuleSpec(f"{bench.folder}/mine.py:score")
    assert launch.reward_keys == {"rule_score": ["short"]}
    assert (launch.reward_told, launch.reward_gpus, launch.references) == ([], 0, [])


def test_a_reward_model_gets_reference_answers_for_its_scale(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make(tmp_path / "rm", "Qwen3ForSequenceClassification")
    words = ("--reward_model", str(model), "--reward_mix", "rm_score=0.5,rule_score=1")
    bench.run("--steps", "3", *words)
    launch = bench.launch()
    spec = from_dict(launch.reward)
    assert {part.name: part.scale for part in spec.parts}["rm_score"] == "affine"
    rows = [Row(**row) for row in launch.references]
    assert len(rows) == 38 and all(row.response == row.ground_truth for row in rows)
    assert rows[0].messages[-1]["role"] == "user"
    screen = " ".join(capsys.readouterr().out.split())
    assert "reward 0.5 rm_score + 1 rule_score" in screen
    assert "Qwen3ForSequenceClassification" in screen and "scale affine, clip 5" in screen
    identity = json.loads((bench.out / "run.json").read_text())
    assert identity["reward scale"] == "rm_score scale affine, clip 5"
    assert str(model) in identity["reward"]


def test_another_reward_in_the_same_folder_is_refused(bench: Bench) -> None:
    bench.run("--steps", "3")
    (bench.folder / "mine.py").write_text("def score(solution_str): return len(solution_str)\n")
    words = ("--reward_fn", f"{bench.folder}/mine.py:score")
    assert "holds a run with another reward" in bench.refusal("--steps", "3", *words)


def test_a_judge_starts_the_run_and_leaves_no_key_behind(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with JudgeServer("openai", lambda prompt: 9 if "= 12" in prompt else 1) as server:
        for name, key in server.environ.items():
            monkeypatch.setenv(name, key)
        words = ("--use_api_reward", "--rm_api_type", "openai", "--rm_base_url", server.url,
                 "--rm_model", "any", "--rm_budget", "50requests")  # fmt: skip
        assert bench.run("--steps", "3", *words) == 0
    assert bench.launch().reward_told == ["judge_score"]
    assert "budget 50 requests" in capsys.readouterr().out
    assert (bench.out / "judge_cache.sqlite").is_file()
    written = [path.read_bytes() for path in bench.out.rglob("*") if path.is_file()]
    assert written and not any(server.key.encode() in data for data in written)


def test_the_same_command_continues_and_a_finished_run_says_so(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("--steps", "3")
    capsys.readouterr()
    assert bench.run("--steps", "3") == 0
    assert "This run is complete: step 3 of 3 is saved." in capsys.readouterr().out
    assert bench.run("--steps", "5") == 0
    assert "continuing from step 3" in capsys.readouterr().out
    trainer = bench.launch().config["trainer"]
    assert trainer["resume_mode"] == "resume_path"
    assert trainer["resume_from_path"] == f"{bench.out}/checkpoints/global_step_3"
    assert len((bench.out / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_dry_run_shows_where_a_run_would_continue(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("--steps", "3")
    bench.dry_run("--steps", "9")
    assert "continuing from step 3" in capsys.readouterr().out


def test_a_dry_run_tries_the_reward_and_ends_with_what_to_type(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.dry_run("--steps", "9", "--dry_run") == 0
    screen = " ".join(capsys.readouterr().out.split())
    assert "the reference answer ('1') scores 1.00, junk 0.00, an empty response 0.00" in screen
    assert "main memory" in screen and "Roles: actor 1 FSDP shard: rank 0" in screen
    assert screen.endswith(f"--output_dir {bench.out} --steps 9")
    assert not bench.out.exists()


def test_a_verbose_dry_run_shows_the_settings_as_a_command_of_verl(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.dry_run("--steps", "9")
    assert "verl.trainer.main_ppo" not in capsys.readouterr().out
    bench.dry_run("--steps", "9", "--verbose")
    screen = capsys.readouterr().out
    _, shown = screen.split("python -m verl.trainer.main_ppo")
    assert "    trainer.total_training_steps=9 \\\n" in shown


def test_a_start_shows_roles_and_memory_in_few_rows(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("--steps", "3")
    lines = capsys.readouterr().out.splitlines()
    labels = [line[2:15].strip() for line in lines if line.startswith("  ") and line[2] != " "]
    shown = labels[: labels.index("output") + 1]
    assert {"roles", "memory", "batch", "length"} <= set(shown) and len(shown) <= 14


def test_the_sizes_of_a_model_are_asked_for_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    known = foresight.sizes_of
    monkeypatch.setattr(foresight, "sizes_of", lambda *of: asked.append(of) or known(*of))
    bench.run("--steps", "3")
    assert len(asked) == 1


def test_mistakes_of_every_kind_are_told_together(bench: Bench) -> None:
    (bench.folder / "bad.json").write_text('[{"question": 1}')
    words = ("--model", "no/such/model", "--data", str(bench.folder / "bad.json"),
             "--reward_fn", "nowhere.py:score", "--tp_size", "3")  # fmt: skip
    asked = Asked(compose(parse(words, {}), "cpu"), Machine(2, 24.0))
    found = "\n".join(foresight.foresee(asked, rehearsed=True).problems)
    for part in ("no/such/model", "bad.json", "nowhere.py", "--tp_size 3 must divide"):
        assert part in found


def test_a_size_that_is_none_does_not_hide_the_other_mistakes(bench: Bench) -> None:
    asked = bench.asked("data.train_batch_size=0", "--reward_fn", "nowhere.py:f")
    assert len(foresight.foresee(asked).problems) == 2


# ---- rewards in a dry run -----------------------------------------------------------------------


def dry_run(spec: RewardSpec, deadline_s: float = 8.0) -> Trial:
    return try_reward(spec, (), deadline_s)


def by_judge(server: JudgeServer) -> RewardSpec:
    return RewardSpec((PartSpec("judge_score", server.spec()),), {"judge_score": 1.0})


def test_a_judge_is_asked_by_a_dry_run_and_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with JudgeServer("openai", lambda prompt: 9 if "= 12" in prompt else 1) as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key)
        spec = RewardSpec(
            (PartSpec("judge_score", server.spec(cache=str(tmp_path / "c.sqlite"))),),
            {"judge_score": 1.0},
        )
        found = dry_run(spec)
        assert (found.asked, stopping(found.findings)) == (("judge_score",), [])
        assert len(server.requests) >= 2
    assert not (tmp_path / "c.sqlite").exists()


@pytest.mark.parametrize("what", ["key", "model", "address"])
def test_a_judge_that_cannot_answer_stops_a_dry_run(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JudgeServer("openai", models=["another"] if what == "model" else None) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-9876" if what == "key" else server.key)
        spec = by_judge(server)
        if what == "address":
            server.down()
        found = dry_run(spec)
    (problem,) = stopping(found.findings)
    assert problem.startswith("judge_score: ") and found.asked == ()
    assert "sk-wrong-9876" not in problem


def test_a_judge_that_is_slow_is_a_warning_and_one_that_is_nowhere_a_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(served, "CONNECT_S", 0.3)
    with JudgeServer("openai", latency_s=5) as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key)
        (warning,) = warnings(dry_run(by_judge(server), 0.3).findings)
        assert "is there, but gave no answers within 0.3 s" in warning
        spec = by_judge(server)

    async def nowhere(url: str) -> bool:  # a port that swallows packets needs a network to test
        return False

    async def silent(part: PartSpec, deadline_s: float) -> list[str]:
        raise asyncio.TimeoutError

    monkeypatch.setattr(served, "_connects", nowhere)
    monkeypatch.setattr(served, "_start", silent)
    (problem,) = stopping(dry_run(spec).findings)
    assert "cannot be reached" in problem and "--rm_base_url" in problem


def test_a_reward_server_that_is_not_there_yet_is_a_warning() -> None:
    part = PartSpec("rm_score", ModelSpec(None, url="http://127.0.0.1:9"))
    found = dry_run(RewardSpec((part,), {"rm_score": 1.0}))
    assert stopping(found.findings) == [] and warnings(found.findings)[0].startswith("rm_score: ")


def test_a_function_that_fails_on_reference_answers_stops_a_dry_run(bench: Bench) -> None:
    (bench.folder / "bad.py").write_text("def score(**row): raise KeyError('x')\n")
    with pytest.raises(UserError, match="failed on a reference answer"):
        bench.dry_run("--reward_fn", f"{bench.folder / 'bad.py'}:score")


def test_each_data_source_is_tried_wherever_its_rows_begin(tmp_path: Path) -> None:
    rows = [*ROWS, {"prompt": "?", "ground_truth": "Paris", "data_source": "qa"}]
    (tmp_path / "mixed.json").write_text(json.dumps(rows))
    first = first_rows(sources(str(tmp_path / "mixed.json")), ["math_reasoning", "qa"])
    found = try_reward(RULES, first, 8.0)
    assert {name: means["reference"] for name, means in found.means.items()} == {
        "math_reasoning": 1.0, "qa": 1.0,
    }  # fmt: skip
    assert found.references == {"math_reasoning": "1", "qa": "Paris"}


def test_programs_on_a_server_of_the_users_wait_for_the_start() -> None:
    rules = RuleSpec(sandbox_url="http://127.0.0.1:9")
    spec = RewardSpec((PartSpec("rule_score", rules),), {"rule_score": 1.0})
    tests = '{"inputs": ["1"], "outputs": ["1"]}'
    found = try_reward(spec, [Row("code", "", tests, {"solution": "print(input())"})], 8.0)
    assert (found.means, found.findings) == ({}, ())
    assert found.later == ("code: its programs run on --sandbox_url when the run starts",)


def test_a_reward_model_is_named_for_later(tmp_path: Path) -> None:
    part = PartSpec("rm_score", ModelSpec(str(tmp_path)))
    found = dry_run(RewardSpec((part,), {"rm_score": 1.0}))
    assert found.later == ("rm_score: the model is loaded and tried when the run starts",)


def test_another_spelling_of_the_same_model_is_the_same_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run("--steps", "3")
    monkeypatch.chdir(bench.model.parent)
    assert bench.run("--steps", "3", model=Path(f"./{bench.model.name}/")) == 0


def test_another_model_in_the_same_folder_is_refused(bench: Bench, tiny_llama: Path) -> None:
    bench.run("--steps", "3")
    text = bench.refusal("--steps", "3", model=tiny_llama)
    assert "holds a run with another model" in text
    assert "--run_name" in text and "--resume never" in text
    assert bench.run("--steps", "3", "--run_name", "llama", model=tiny_llama) == 0
    assert (bench.out / "llama" / "run.json").is_file()


def test_other_data_in_the_same_folder_is_refused(bench: Bench) -> None:
    bench.run("--steps", "3")
    (bench.folder / "data.json").write_text(json.dumps(ROWS[:30]))
    assert "holds a run with another data" in bench.refusal("--steps", "3")


def test_resume_never_moves_the_old_run_aside(
    bench: Bench, tiny_llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("--steps", "3")
    assert bench.run("--steps", "2", "--resume", "never", model=tiny_llama) == 0
    (aside,) = bench.out.glob("before-*")
    assert f"Moved the earlier run to {aside}." in capsys.readouterr().out
    assert latest(aside / "checkpoints") is not None
    found = latest(bench.out / "checkpoints")
    assert found is not None and found.step == 2


def test_a_start_that_fails_moves_nothing_aside(bench: Bench) -> None:
    bench.run("--steps", "3")
    (bench.folder / "bad.py").write_text("def score(**row): raise KeyError('x')\n")
    words = ("--resume", "never", "--reward_fn", f"{bench.folder / 'bad.py'}:score")
    assert "failed on a reference answer" in bench.refusal(*words)
    assert not list(bench.out.glob("before-*"))


def test_a_checkpoint_by_name_starts_another_run(bench: Bench) -> None:
    bench.run("--steps", "3")
    saved = bench.out / "checkpoints" / "global_step_3"
    assert bench.run("--steps", "6", "--run_name", "b", "--resume", str(saved)) == 0
    launch = json.loads((bench.out / "b" / "logs" / "launch.json").read_text())
    assert launch["config"]["trainer"]["resume_from_path"] == str(saved)


def test_a_checkpoint_of_other_ranks_is_cut_anew_or_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("--steps", "3")
    assert bench.dry_run("--steps", "6", "--n_gpus", "2") == 0
    assert "saved by 1 rank: its shards are cut anew for 2" in capsys.readouterr().out
    # What stands for the trainer here saves no shards.
    text = bench.refusal("--steps", "6", "--n_gpus", "2")
    assert "was saved by 1 rank and cannot be continued by 2: it has no actor/fsdp_config" in text
    assert "Use --n_gpus 1" in text


def test_an_unfinished_checkpoint_is_no_place_to_continue_from(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("--steps", "3")
    saved = bench.out / "checkpoints" / "global_step_3"
    (saved / "complete.json").unlink()
    assert "the folder of a complete checkpoint" in bench.refusal("--resume", str(saved))
    assert bench.run("--steps", "3") == 0
    assert bench.launch().config["trainer"]["resume_mode"] == "disable"
    screen = " ".join(capsys.readouterr().out.split())
    assert "passed over global_step_3: it has no complete.json: it was not finished." in screen
    assert "none was ever complete: starting from the beginning." in screen
    assert len((bench.out / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_damaged_checkpoint_is_never_overwritten_unasked(bench: Bench) -> None:
    bench.run("--steps", "3")
    weights = bench.out / "checkpoints" / "global_step_3" / "actor" / "weights"
    weights.write_text("W")  # as long as before
    assert "has a damaged actor/weights" in bench.refusal("--steps", "6")
    assert bench.run("--steps", "6", "--resume", "never") == 0


def test_going_back_sets_later_checkpoints_aside(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.run("--steps", "3")
    bench.run("--steps", "6")
    named = ("--steps", "9", "--resume", str(bench.out / "checkpoints" / "global_step_3"))
    assert bench.run(*named) == 0
    (aside,) = (bench.out / "checkpoints").glob("undone-*")
    assert (aside / "global_step_6").is_dir()
    assert f"Moved later checkpoints to {aside}" in capsys.readouterr().out
    assert bench.run(*named) == 0  # the same command goes on
    assert "This run is complete: step 9 of 9 is saved." in capsys.readouterr().out


def test_the_demo_is_what_runs_when_nothing_says_what_to_train() -> None:
    assert with_demo({"steps": 3}, (), "cpu") == {"steps": 3, "recipe": DEMO_RECIPE}
    assert with_demo({"hardware": "cpu"}, (), "gpu")["recipe"] == DEMO_RECIPE
    assert "recipe" not in with_demo({}, (), "gpu")
    for name in choice.NO_DEMO:
        assert "recipe" not in with_demo({name: "x"}, (), "cpu")
    assert "recipe" not in with_demo({}, ("+actor_rollout_ref.model.path=m",), "cpu")


def test_what_is_known_of_the_demos_model_beforehand_is_true() -> None:
    from verlaunch.inputs.demo.model import _architecture
    from verlaunch.inputs.demo.tokenizer import make_tokenizer

    made = _architecture(make_tokenizer())
    assert choice.DEMO.vocab_size == made.vocab_size
    assert choice.DEMO.max_positions == made.max_position_embeddings


def test_a_gpu_machine_trains_the_default_model_on_the_samples() -> None:
    config = compose(parse([], {}), "gpu")
    chosen = Inputs(config)
    assert not chosen.is_demo
    assert config.verl["actor_rollout_ref"]["model"]["path"] == "Qwen/Qwen2.5-0.5B"
    found = chosen.sources()
    train, val = found.train, found.val
    assert [Path(s.path).name for s in (*train, *val)] == [
        "sample_math.json", "sample_math_val.json",
    ]  # fmt: skip


def test_command_sh_keeps_the_variables_that_set_flags(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from verlaunch.cli import main

    monkeypatch.setenv("KL_COEF", "0")
    monkeypatch.setenv("VERLAUNCH_START", "./train.sh")
    words = ["--model", str(bench.model), "--data", str(bench.folder / "data.json"),
             "--output_dir", str(bench.out), "--steps", "1"]  # fmt: skip
    assert main(words) == 0
    script = (bench.out / "command.sh").read_text()
    assert script.endswith(f"\nKL_COEF=0 ./train.sh {' '.join(words)}\n")
