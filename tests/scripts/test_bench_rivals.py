"""The rivals of the step bench train for real, on models of random weights, and answer as asked."""

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from verlaunch.inputs.demo.tokenizer import make_tokenizer

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parents[2] / "scripts" / "bench"
ROWS = [
    {"prompt": f"{a}+{b}=", "ground_truth": str(a + b), "data_source": "math_reasoning"}
    for a in (3, 14)
    for b in (5, 6)
]


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    return _program("plain_ppo")


@pytest.fixture(scope="module")
def models() -> ModuleType:
    sys.path.append(str(BENCH.parent))
    return importlib.import_module("gpu_check.models")


@pytest.fixture(scope="module")
def trl() -> ModuleType:
    return _program("trl_ppo")


def _program(name: str) -> ModuleType:
    sys.path.insert(0, str(BENCH))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(BENCH))


@pytest.fixture(scope="module")
def model(models: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.write_model(tmp_path_factory.mktemp("bench") / "model", models.SIZES["0.4M"])


@pytest.fixture
def words(model: Path, tmp_path: Path) -> list[str]:
    """Those that every contestant gets."""
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    given = {"model": model, "data": tmp_path / "rows.json", "prompts": 4, "json": answer(tmp_path)}
    return [w for k, v in given.items() for w in (f"--{k}", str(v))]


def answer(folder: Path) -> Path:
    return folder / "answer.json"


def read(folder: Path) -> dict[str, Any]:
    return json.loads(answer(folder).read_text())


def test_plain_ppo_answers_with_one_number_per_step(
    plain: ModuleType, words: list[str], tmp_path: Path
) -> None:
    plain.main([*words, "--steps", "3", "--threads", "1"])
    found = read(tmp_path)
    lists = [found["step_s"], found["reward"], found["responses_mean_tokens"]]
    assert [len(of) for of in (*lists, *found["parts_s"].values())] == [3] * 6
    assert set(found["parts_s"]) == {"generate", "forward", "update"}
    assert found["name"] == "plain"
    assert found["versions"]["torch"] == torch.__version__


def test_parts_of_a_step_add_up_to_no_more_than_the_step(
    plain: ModuleType, words: list[str], tmp_path: Path
) -> None:
    plain.main([*words, "--steps", "2"])
    found = read(tmp_path)
    parts = zip(*found["parts_s"].values(), strict=True)
    assert all(sum(p) <= step for p, step in zip(parts, found["step_s"], strict=True))
    assert found["first_step_s"] > found["step_s"][0]  # imports and models count


def test_exact_answers_are_as_long_as_allowed(
    plain: ModuleType, words: list[str], tmp_path: Path
) -> None:
    plain.main([*words, "--steps", "1", "--response_tokens", "20", "--exact"])
    assert read(tmp_path)["responses_mean_tokens"] == [20.0]


def test_one_pass_updates_as_two_passes_do(plain: ModuleType, words: list[str]) -> None:
    def weights(once: bool) -> list[torch.Tensor]:
        args = plain.arguments([*words, "--steps", "4"])
        torch.manual_seed(3)
        trainer = plain.Trainer(args)
        trainer.once = once
        trainer.step(ROWS, plain.contract.begin("plain", args, ()))
        return [*trainer.policy.parameters(), *trainer.critic.parameters()]

    for one, two in zip(weights(True), weights(False), strict=True):
        # Adam's first step is lr * sign(gradient): where a gradient is near 0, noise decides
        assert (one - two).abs().mean() < 1e-6


def test_rows_are_repeated_until_they_fill_a_batch(plain: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps(ROWS))
    assert len(plain.contract.read_rows(tmp_path / "rows.json", 9)) == 12


def test_a_right_answer_scores_one_through_the_reward_model_that_trl_sees(
    trl: ModuleType, models: ModuleType
) -> None:
    tokenizer = make_tokenizer()
    rule = trl.RuleAsModel(tokenizer, ROWS)
    texts = ("<|user|>3+5=<|assistant|>8<|end|>", "<|user|>14+6=<|assistant|>2<|end|>")
    batch = tokenizer(list(texts), padding=True, return_tensors="pt")
    hidden = getattr(rule, rule.base_model_prefix)(
        batch.input_ids, attention_mask=batch.attention_mask.bool(), use_cache=False
    ).hidden_states[-1]
    assert rule.score(hidden)[:, -1, 0].tolist() == [1.0, 0.0]
    assert rule.mean_tokens == 2.0


def test_an_environment_without_trl_is_told_how_to_make_one(
    trl: ModuleType, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(SystemExit) as ended:
        trl.main(words)
    assert ended.value.code == 2
    assert "pip install trl==1.12.0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--model", "nowhere"], "scripts/gpu_check/models.py nowhere"),
        (["--data", "nowhere.json"], "nowhere.json is missing"),
        (["--prompts", "0"], "at least 1"),
    ],
)
def test_a_wrong_argument_ends_with_one_message(
    plain: ModuleType, words: list[str], wrong: list[str], said: str, capsys: Any
) -> None:
    with pytest.raises(SystemExit) as ended:
        plain.main([*words, *wrong])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("size", "least", "most"), [("10M", 9e6, 12e6), ("100M", 9e7, 1.1e8)])
def test_a_model_has_about_the_parameters_of_its_name(
    models: ModuleType, size: str, least: float, most: float
) -> None:
    assert least < models.SIZES[size].parameters < most


def test_made_models_have_room_for_256_tokens_and_are_the_same_each_time(
    models: ModuleType, model: Path, tmp_path: Path
) -> None:
    again = models.write_model(tmp_path / "again", models.SIZES["0.4M"])
    weights = "model.safetensors"
    assert (again / weights).read_bytes() == (model / weights).read_bytes()
    assert json.loads((model / "config.json").read_text())["max_position_embeddings"] > 512
