"""A plan for machines that one does not have: what was asked for, and what is not looked at."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.papers import ROOT
from verlaunch import cli
from verlaunch.errors import UserError
from verlaunch.plan.assumed import CARDS, assumed, wished

CONFIG = {  # Qwen2.5-7B's sizes
    "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": 3584,
    "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "vocab_size": 152064, "max_position_embeddings": 32768,
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "nodes", "gpus", "name", "gib"),
    [
        ("8x80", 1, 8, "", 80),
        ("8 x 80GB", 1, 8, "", 80),
        ("4 x H100", 1, 4, "H100", 80),
        ("4xNVIDIA A100-40GB", 1, 4, "A100-40", 40),
        ("2x8x141", 2, 8, "", 141),
        ("2 × 8 × h200", 2, 8, "H200", CARDS["H200"]),
        ("RTX 4090", 1, 1, "RTX4090", 24),
        ("24", 1, 1, "", 24),
    ],
)
def test_gpus_are_read_as_people_write_them(
    text: str, nodes: int, gpus: int, name: str, gib: float
) -> None:
    found = assumed(text)
    assert (found.nodes, len(found.machine.gpus)) == (nodes, gpus)
    assert {(card.name, card.memory_gib) for card in found.machine.gpus} == {(name, gib)}


@pytest.mark.parametrize(
    "text",
    ["", "x", "8x", "x80", "0x80", "8x0", "8x2000", "-8x80", "1x2x3x4", "8xB2000", "99x99x80"],
)
def test_what_is_no_machine_is_told_with_an_example_or_a_limit(text: str) -> None:
    with pytest.raises(UserError, match="--assume_gpus"):
        assumed(text)


@pytest.mark.parametrize(
    ("text", "gib"), [("512", 512), ("1TB", 931.3), ("1 TiB", 1024), ("640gb", 596.0), ("2T", 2048)]
)
def test_main_memory_has_its_unit(text: str, gib: float) -> None:
    assert assumed("8x80", text).machine.memory_gib == pytest.approx(gib, abs=0.1)


@pytest.mark.parametrize("text", ["", "much", "1PB", "0", "-1TB", "9999TB"])
def test_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"--assume_memory: '.*512GB or 1TB"):
        assumed("8x80", text)


def test_main_memory_is_twice_the_cards_where_nothing_is_said() -> None:
    assert assumed("8x80").machine.memory_gib == 1280
    assert assumed("1x24").machine.memory_gib == 64  # but never less than this


def test_its_words_name_all_of_it() -> None:
    two = "2 machines of 8 H100 GPUs of 80 GiB and 1,280 GiB of main memory each"
    assert assumed("2x8xH100").words == two
    assert assumed("1x24", "128GiB").words == "1 GPU of 24 GiB and 128 GiB of main memory"


def test_what_is_typed_wins_over_all_of_the_gpus() -> None:
    there = wished({"assume_gpus": "2x8x80"}, "dry_run")
    assert there and there.settings({"n_gpus": 4}) == {"hardware": "gpu", "n_gpus": 4, "nnodes": 2}
    assert wished({}, None) is None


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A model's sizes alone, and a folder that cannot be written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(CONFIG))
    rows = [{"prompt": f"{n}+{n}=", "answer": str(2 * n)} for n in range(300)]
    (tmp_path / "my.json").write_text(json.dumps(rows))
    return [
        "--model",
        "model",
        "--data",
        "my.json",
        "--data_source",
        "gsm8k",
        "--output_dir",
        "/proc/here",
    ]


def planned(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert cli.main([*words, "--dry_run", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_plan_is_of_that_machine_and_of_no_other(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = planned([*words, "--assume_gpus", "2x8x80"], capsys)
    hardware = found["hardware"]
    assert (hardware["profile"], hardware["nodes"], hardware["ranks"]) == ("gpu", 2, 16)
    assert hardware["assumed"] and len(hardware["gpus"]) == 8
    assert found["memory"]["room"]["disk"] is found["memory"]["room"]["shm"] is None
    assert found["memory"]["gpu"] and found["ok"]
    assert not any(word.startswith("--assume") for word in found["command"])


def test_fit_changes_what_is_needed_on_smaller_cards(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    roomy = planned([*words, "--assume_gpus", "8x80"], capsys)["fit"]["values"]
    tight = planned([*words, "--assume_gpus", "8x40"], capsys)["fit"]["values"]
    assert roomy == {} and tight


def test_the_page_says_how_few_would_do(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "--assume_gpus", "8xH100", "--dry_run"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "assumed 8 H100 GPUs of 80 GiB and 1,280 GiB of main memory; this computer's" in page
    assert "2 GPUs like these would do (--fit auto)" in page


def test_too_small_is_told_with_how_many_would_do(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "--assume_gpus", "1x80", "--assume_memory", "1TB", "--dry_run"]) == 2
    said = capsys.readouterr().err
    assert "The GPU memory is too small" in said and "would do with --fit auto (--n_gpus 2)" in said


@pytest.mark.parametrize("page", ["README.md", "docs/plan.md"])
def test_the_pages_commands_are_answered(
    words: list[str], page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (ROOT / page).read_text().splitlines()
    typed = [line for line in lines if line.startswith("./train.sh") and "--assume_gpus" in line]
    assert typed
    for line in typed:
        said = line.replace("FOLDER", "model").removeprefix("./train.sh ")
        source = ["--data_source", "gsm8k", "--output_dir", "/proc/here"]
        assert cli.main([*shlex.split(said), *source]) == 0, line
        assert "this computer's memory" in " ".join(capsys.readouterr().out.split())
