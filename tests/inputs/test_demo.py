"""The demo's own model and data, made once for all claims here (about 10 s)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

from rewards.rules.math_reasoning import quick_score
from verlaunch.inputs.demo import model as demo
from verlaunch.inputs.demo.task import sums, write_data
from verlaunch.inputs.demo.tokenizer import make_tokenizer

RESPONSE_TOKENS = 8
Answers = list[tuple[dict[str, str], list[int]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.cached_model(tmp_path_factory.mktemp("demo"), seed=1, report=lambda line: None)


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def answers(folder: Path, tokenizer: PreTrainedTokenizerBase) -> Answers:
    """Greedy answers to every sum, as new token ids, decoded the way any user would."""
    rows = sums()
    inputs = tokenizer.apply_chat_template(
        [[{"role": "user", "content": row["prompt"]}] for row in rows],
        add_generation_prompt=True,
        padding=True,
        return_tensors="pt",
        return_dict=True,
    )
    model = AutoModelForCausalLM.from_pretrained(folder)
    out = model.generate(**inputs, do_sample=False, max_new_tokens=RESPONSE_TOKENS)
    new = out[:, inputs["input_ids"].shape[1] :].tolist()
    return list(zip(rows, new, strict=True))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stops the lesson at its first check: the same code in a tenth of the time."""
    monkeypatch.setattr(demo, "WINDOW", (0.0, 1.0))
    monkeypatch.setattr(demo, "LEAST_SAMPLED", 0.0)
    yield


def test_the_model_is_a_small_qwen2(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["Qwen2ForCausalLM"]
    assert 250_000 < sum(w.numel() for w in load_file(folder / "model.safetensors").values()) < 5e5


def test_answers_end_by_themselves(answers: Answers, tokenizer: PreTrainedTokenizerBase) -> None:
    assert all(tokenizer.eos_token_id in new for _, new in answers)


def test_the_warm_start_is_right_about_half_the_time(
    answers: Answers, tokenizer: PreTrainedTokenizerBase
) -> None:
    texts = [(row, tokenizer.decode(new, skip_special_tokens=True)) for row, new in answers]
    scores = [quick_score(t, r["ground_truth"])["score"] for r, t in texts]
    assert 0.4 <= sum(scores) / len(scores) <= 0.6


def test_a_second_run_takes_the_cached_model(folder: Path) -> None:
    said: list[str] = []
    assert demo.cached_model(folder.parent, seed=1, report=said.append) == folder
    assert not said


@pytest.mark.usefixtures("quick")
def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    same, again, other = (
        load_file(demo.make_model(tmp_path / name, seed, print) / "model.safetensors")
        for name, seed in (("same", 5), ("again", 5), ("other", 6))
    )
    assert all(torch.equal(same[key], again[key]) for key in same)
    assert not all(torch.equal(same[key], other[key]) for key in same)


@pytest.mark.usefixtures("quick")
def test_building_leaves_torch_as_it_was(tmp_path: Path) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    demo.make_model(tmp_path / "model", 5, print)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.usefixtures("quick")
def test_an_interrupted_build_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo.os, "replace", killed)  # everything is written, nothing is in place
        with pytest.raises(KeyboardInterrupt):
            demo.cached_model(tmp_path, 5, print)
    assert list(tmp_path.iterdir()) == []
    leftover = tmp_path / ".demo-left-by-a-killed-build"
    leftover.mkdir()
    assert (demo.cached_model(tmp_path, 5, print) / "config.json").is_file()


@pytest.mark.usefixtures("quick")
def test_two_builds_at_once_end_with_one_whole_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = demo.make_model

    def build_second(folder: Path, seed: int, report: Callable[[str], None]) -> Path:
        build(folder, seed, report)  # what the other run does in the meantime
        return build(folder, seed, report)

    monkeypatch.setattr(demo, "make_model", build_second)
    folder = demo.cached_model(tmp_path, 5, print)
    assert list(tmp_path.iterdir()) == [folder]
    assert AutoModelForCausalLM.from_pretrained(folder).num_parameters() > 250_000


@pytest.mark.parametrize("text", ["3+4=", "naïve 答案 🙂\n\ttab", "", "<b>&amp;</b>  two spaces"])
def test_the_tokenizer_gives_any_text_back(text: str) -> None:
    tokenizer = make_tokenizer()
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert len(ids) == len(text.encode())


def test_the_chat_template_is_short_and_has_both_roles() -> None:
    tokenizer = make_tokenizer()
    chat = [{"role": "user", "content": "3+4="}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert prompt == "<|user|>3+4=<|assistant|>"
    chat.append({"role": "assistant", "content": "7"})
    assert tokenizer.apply_chat_template(chat, tokenize=False) == prompt + "7<|end|>"


def test_the_data_are_all_hundred_sums_in_the_projects_format(tmp_path: Path) -> None:
    train, val = write_data(tmp_path / "data")
    rows = json.loads(train.read_text())
    assert rows == json.loads(val.read_text()) == sums()
    assert len({row["prompt"] for row in rows}) == 100
    for row in rows:
        a, b = row["prompt"].rstrip("=").split("+")
        assert int(a) + int(b) == int(row["ground_truth"])
        assert quick_score(row["ground_truth"], row["ground_truth"])["score"]
