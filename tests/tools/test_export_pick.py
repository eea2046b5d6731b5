"""What is exported, what is said of it, and what is refused before a weight is read."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.saved_run import write_papers
from verlaunch.errors import UserError
from verlaunch.record.checkpoints.manifest import write_manifest
from verlaunch.record.checkpoints.search import note_score
from verlaunch.record.tried_prompts import HELLO, asked
from verlaunch.tools.export import command, room
from verlaunch.tools.export.card import card
from verlaunch.tools.export.facts import Facts, facts
from verlaunch.tools.export.pick import pick

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Papers, and complete checkpoints of steps 2, 4 and 7 that hold no weights."""
    folder = tmp_path / "outputs"
    write_papers(folder, Path("/models/tiny"), step=7)
    for step in (2, 4, 7):
        actor = folder / "checkpoints" / f"global_step_{step}" / "actor"
        actor.mkdir(parents=True)
        (actor / "model_world_size_1_rank_0.pt").write_bytes(bytes(step))
        write_manifest(actor.parent, step, 1)
    return folder


def step_of(run: Path, *words: str) -> int:
    return pick(run, *words).checkpoint.step


def test_a_step_is_a_number_the_last_or_the_best(run: Path) -> None:
    note_score(run / "checkpoints", 4, 0.5)
    assert [step_of(run), step_of(run, "last"), step_of(run, "best"), step_of(run, "2")] == [
        7, 7, 4, 2,
    ]  # fmt: skip
    assert step_of(run / "checkpoints" / "global_step_4") == 4
    assert pick(run / "checkpoints" / "global_step_4").run == run


def test_an_unfinished_checkpoint_is_never_the_last(run: Path) -> None:
    (run / "checkpoints" / "global_step_7" / "complete.json").unlink()
    assert step_of(run) == 4
    with pytest.raises(UserError, match=r"was not finished.*Complete ones: 2, 4\."):
        pick(run, "7")
    with pytest.raises(UserError, match=r"was not finished\. .*beside it: 2, 4\."):
        pick(run / "checkpoints" / "global_step_7")


def test_checkpoints_that_are_all_damaged_are_named_with_their_damage(run: Path) -> None:
    for manifest in run.glob("checkpoints/*/complete.json"):
        manifest.write_text("")
    with pytest.raises(UserError, match=r"no complete checkpoint\. .*_7 has an empty .*_4 has an "):
        pick(run)


def test_what_is_not_there_is_said_with_what_is(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no complete checkpoint of step 5\. .*: 2, 4, 7\."):
        pick(run, "5")
    with pytest.raises(UserError, match="has been validated"):
        pick(run, "best")
    with pytest.raises(UserError, match="takes a step's number"):
        pick(run, "-1")
    with pytest.raises(UserError, match="is step 4, not --step 7"):
        pick(run / "checkpoints" / "global_step_4", "7")
    with pytest.raises(UserError, match=r"not a run's folder.*Runs in it: outputs\."):
        pick(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        pick(tmp_path / "outputz")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="is a Hugging Face folder already"):
        pick(tmp_path / "model")
    shutil.rmtree(run / "checkpoints")
    for step in ("last", "best", "3"):
        with pytest.raises(UserError, match="has no complete checkpoint yet"):
            pick(run, step)


def test_a_run_begun_anew_has_other_fingerprints_for_the_same_step(run: Path) -> None:
    first = pick(run).fingerprint()
    assert pick(run).fingerprint() == first
    checkpoint = run / "checkpoints" / "global_step_7"
    (checkpoint / "actor" / "model_world_size_1_rank_0.pt").write_bytes(b"another")
    write_manifest(checkpoint, 7, 1)
    assert pick(run).fingerprint() != first


def test_facts_end_with_the_exported_step(run: Path) -> None:
    found = facts(pick(run, "4"))
    assert found.validation == (0.25, 0.5)
    assert found.mean_reward == pytest.approx((0.15, 0.35))
    assert (found.name, found.about["recipe"], found.about["seed"]) == ("sums", "ppo_qwen", 1)
    assert (found.about["data"], found.about["reward"]) == ("sums.json [3a99fd95]", "rules")
    assert found.about["date"] == "2025-10-09"
    assert found.command == "./train.sh --recipe ppo_qwen --data sums.json"


def test_a_run_that_lost_its_papers_still_has_its_step(run: Path) -> None:
    for name in ("run.json", "environment.json", "command.sh", "metrics.jsonl"):
        (run / name).unlink()
    (run / "config.yaml").write_text("{broken")
    found = facts(pick(run))
    assert (found.step, found.validation, found.base) == (7, None, "")
    assert "step" in card(found, [])


FULL = Facts(
    "sums", 60, base="/models/qwen", base_id="Qwen/Qwen2.5-0.5B",
    about={"recipe": "ppo_qwen", "data": "a|b.json [12ab]", "seed": 3},
    validation=(0.5, 0.99), mean_reward=None,
    versions={"verl": "0.9.1"}, command="./train.sh --recipe ppo_qwen", curves=Path("c.png"),
)  # fmt: skip


def test_the_card_is_in_the_hubs_format_and_says_what_is_known() -> None:
    text = card(FULL, ["logits differ by nothing."], critic=True)
    _, front, body = text.split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["base_model"] == "Qwen/Qwen2.5-0.5B"
    assert matter["base_model_relation"] == "finetune"
    assert (matter["library_name"], matter["pipeline_tag"]) == ("transformers", "text-generation")
    assert "license" not in matter and "# license: yours to choose" in front
    assert "| validation score | 0.500 | 0.990 |" in body and "mean reward" not in body
    assert "| data | a\\|b.json [12ab] |" in body
    assert "training_curves.png" in body and "verl 0.9.1" in body and "--recipe ppo_qwen" in body
    assert "- logits differ by nothing." in body and "AutoModelForTokenClassification" in body
    assert "/models/qwen" not in text


def test_the_card_shows_nobodys_password() -> None:
    at = "http://me:hush-1@host"
    command = f"./train.sh --rm_url {at} some.api_key=hush-2"
    assert "hush" not in card(replace(FULL, about={"reward": at}, command=command), [])


def test_the_card_of_an_adapter_names_peft_and_what_it_belongs_on() -> None:
    matter = yaml.safe_load(card(FULL, [], adapter=True).split("---\n")[1])
    assert (matter["library_name"], matter["base_model_relation"]) == ("peft", "adapter")


def test_the_model_is_tried_on_prompts_of_its_own_run(run: Path, tmp_path: Path) -> None:
    found = asked(run, step=7)
    assert [one.messages[0]["content"] for one in found] == ["0+2=", "1+2=", "2+2="]
    assert found[2].response == "4"
    assert asked(run, step=3) == asked(None, step=3) == [HELLO]


def test_mistakes_are_one_sentence_and_exit_code_2(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    outside = tmp_path / "copied" / "global_step_2"
    shutil.copytree(run / "checkpoints" / "global_step_2", outside)
    for words, said in (
        ([str(run), str(full)], "is there already and not empty"),
        ([str(outside)], "lies in no run's folder"),
        ([str(tmp_path / "none")], "no such folder"),
        ([str(run), "--step", "best"], "has been validated"),
    ):
        assert command.main(words) == 2
        told = capsys.readouterr().err
        assert told.startswith("error: ") and said in told and told.count("\n") == 1
    assert (full / "notes.txt").read_text() == "mine"


def test_too_little_memory_for_the_proof_is_said_with_the_way_out() -> None:
    room.check_memory(1000)
    with pytest.raises(UserError, match="--no-check"):
        room.check_memory(1 << 50)


def test_choosing_costs_no_torch(run: Path) -> None:
    code = (
        "import sys, verlaunch.tools.chat.command; from verlaunch.tools.export.command import main;"
        f"assert main([{str(run)!r}, '--step', '5']) == 2;"
        "assert not {'torch', 'ray', 'verl', 'vllm', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


def test_the_script_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "verlaunch", "export", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--step N|best|last" in done.stdout and "Exit code" in done.stdout
