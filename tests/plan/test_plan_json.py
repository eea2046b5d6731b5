"""--dry_run json: one document on standard output, whatever happens, with the names it promises."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.judge_servers import JudgeServer
from tests.papers import ROOT
from verlaunch import cli
from verlaunch.plan import document

ROWS = [{"prompt": f"{i}+1=", "ground_truth": str(i + 1), "data_source": "math_reasoning"}
        for i in range(40)]  # fmt: skip
NAMES = {"version", "ok", "problems", "warnings", "notes", "command", "model", "hardware", "roles",
         "nodes", "batch", "data", "steps", "reward", "memory", "fit", "resume", "output",
         "differences"}  # fmt: skip


class Typed:
    def __init__(self, folder: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.model, self.capsys = folder, model, capsys
        (folder / "good.json").write_text(json.dumps(ROWS))

    def __call__(self, *words: str) -> tuple[int, dict[str, Any], str]:
        """Exit code, the document and standard error."""
        code = cli.main([*words, "--dry_run", "json"])
        out, err = self.capsys.readouterr()
        return code, json.loads(out), err

    def good(self, *words: str) -> tuple[int, dict[str, Any], str]:
        data = ("--model", str(self.model), "--data", "good.json", "--hardware", "cpu")
        return self(*data, *words)


@pytest.fixture
def typed(
    tmp_path: Path,
    tiny_qwen2: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cache: Path,
) -> Typed:
    monkeypatch.setenv("VERLAUNCH_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    return Typed(tmp_path, tiny_qwen2, capsys)


def test_a_good_run_is_one_document_with_every_name(typed: Typed) -> None:
    code, found, err = typed.good("--steps", "3")
    assert (code, err, found["ok"], found["problems"]) == (0, "", True, [])
    assert found.keys() == NAMES and found["version"] == document.VERSION
    assert found["batch"]["prompts_per_step"] == found["batch"]["sequences"] == 38
    assert found["steps"]["total"] == 3 and found["steps"]["per_epoch"] == 1
    assert ROWS[0]["prompt"] in found["data"].pop("prompt")
    assert found["data"] == {"prompts": 38, "rows": 40, "exact": True, "dropped": {}, "notes": [],
                             "data_sources": {"math_reasoning": 40}}  # fmt: skip
    assert found["hardware"]["profile"] == "cpu" and found["hardware"]["ranks"] == 1
    assert [role["name"] for role in found["roles"]] == ["actor", "critic", "reference", "rollouts"]
    (node,) = found["nodes"]
    assert (node["rank"], node["ranks"], node["replicas"], node["devices"]) == (0, [0], [0], [0])
    assert found["differences"]["trainer.total_training_steps"] == [None, 3]


def test_every_name_of_the_document_is_explained_on_its_page() -> None:
    _, _, page = (ROOT / "docs" / "plan.md").read_text(encoding="utf-8").partition("## JSON")
    first_cells = re.findall(r"^\| (`.+?) \|", page, re.M)
    assert {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)} == NAMES


def test_memory_is_told_in_bytes_phase_by_phase(typed: Typed) -> None:
    _, found, _ = typed.good()
    memory = found["memory"]
    assert memory["gpu"] == [] and memory["note"] is None
    for phase in memory["host"]:
        assert phase["bytes"] == sum(part["bytes"] for part in phase["parts"]) > 0
    disk = memory["disk"]
    assert disk["bytes"] == disk["checkpoint"] * disk["kept"] + disk["export"]
    assert memory["room"]["disk"] > 0 and memory["room"]["gpu"] is None
    assert found["model"]["parameters"] > 0
    assert found["fit"] == {"mode": "auto", "values": {}, "said": []}


def test_the_command_is_what_starts_the_run(typed: Typed) -> None:
    _, found, _ = typed.good("--kl_coef", "0")
    assert found["command"][1:] == ["--model", str(typed.model), "--data", "good.json",
                                    "--hardware", "cpu", "--kl_coef", "0"]  # fmt: skip


def test_the_rewards_are_tried(typed: Typed) -> None:
    _, found, _ = typed.good()
    assert found["reward"]["sources"] == {
        "math_reasoning": {"reference": 1.0, "empty": 0.0, "junk": 0.0, "answer": "1"}
    }
    assert found["reward"]["parts"] == [{"name": "rule_score", "kind": "rule"}]


def test_a_reward_that_prints_leaves_the_document_alone(typed: Typed) -> None:
    (typed.folder / "mine.py").write_text(
        "print('hello')\n"
        "def score(solution_str, ground_truth):\n"
        "    print('scored')\n"
        "    return float(solution_str == ground_truth)\n"
    )
    code, found, _ = typed.good("--reward_fn", "mine.py:score")
    assert (code, found["reward"]["sources"]["math_reasoning"]["reference"]) == (0, 1.0)


def test_problems_are_in_the_document_and_on_standard_error(typed: Typed) -> None:
    code, found, err = typed.good("--batch_size", "99", "--tp_size", "3")
    assert (code, found["ok"], len(found["problems"])) == (2, False, 2)
    assert err == "".join(f"error: {problem}\n" for problem in found["problems"])
    assert found.keys() == NAMES and found["batch"]["prompts_per_step"] == 99


@pytest.mark.parametrize("words", [("--bacth_size", "4"), ("--lr", "fast"), ("actor.lr=3",)])
def test_what_cannot_be_read_at_all_is_a_document_too(typed: Typed, words: tuple[str, ...]) -> None:
    code, found, err = typed(*words)
    assert (code, found["ok"], found.keys()) == (2, False, NAMES)
    assert found["problems"] and err == f"error: {found['problems'][0]}\n"
    assert found["command"][1:] == list(words)


def test_what_a_mistake_hides_is_null_and_the_rest_is_there(typed: Typed) -> None:
    code, found, _ = typed("--model", "nowhere/here/m", "--data", "good.json", "--tp_size", "3",
                           "--hardware", "cpu")  # fmt: skip
    assert code == 2 and len(found["problems"]) == 2
    assert (found["model"], found["batch"], found["memory"]) == (None, None, None)
    assert found["data"]["rows"] == 40


def test_a_judge_is_asked_and_its_bill_is_there(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JudgeServer("dashscope", lambda prompt: 9 if "= 12" in prompt else 1) as server:
        for name, key in server.environ.items():
            monkeypatch.setenv(name, key)
        words = ("--use_api_reward", "--rm_base_url", server.url, "--rm_model", "qwen-plus")
        code, found, _ = typed.good("--steps", "2", *words)
        assert (code, found["problems"], len(server.requests)) == (0, [], 2)
    reward = found["reward"]
    (judge,) = reward["judges"]
    assert (judge["provider"], judge["calls"], reward["asked"]) == (
        "dashscope",
        76,
        ["judge_score"],
    )
    assert judge["dollars"] is None or judge["dollars"] > 0
    assert server.key not in json.dumps(found)


def test_the_words_of_the_dry_run_are_left_out_of_the_command() -> None:
    from verlaunch.plan.page import to_start

    for dry in (["--dry_run"], ["--dry-run", "json"], ["--dry_run=json"], ["--dry_run", "yes"]):
        assert to_start(["./train.sh", *dry, "--lr", "1"]) == ("./train.sh", "--lr", "1")
    assert to_start(["./train.sh", "--dry_run", "a.b=1"]) == ("./train.sh", "a.b=1")
    assumed = ["--assume-gpus", "8x80", "--dry_run", "--assume_memory=1TB"]
    assert to_start(["./train.sh", *assumed, "--lr", "1"]) == ("./train.sh", "--lr", "1")
