"""./train.sh score with what costs: judges on loopback, tiny reward models, and a mix of all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.judge_servers import Fault, JudgeServer, every
from tests.reward_models import make
from verlaunch import cli
from verlaunch.config.flags import load_table
from verlaunch.plan.reward.trial.answers import JUNK


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for flag in load_table():
        if flag.env:
            monkeypatch.delenv(flag.env, raising=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make(tmp_path_factory.mktemp("rm") / "model", "Qwen3ForSequenceClassification"))


@pytest.fixture
def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[JudgeServer]:
    """Likes everything but junk. A test's parameter: what else it is like."""
    settings = getattr(request, "param", {})
    with JudgeServer("dashscope", judge=lambda text: 2 if JUNK in text else 9, **settings) as judge:
        for name, key in judge.environ.items():
            monkeypatch.setenv(name, key)
        yield judge


def score(server: JudgeServer, *words: str) -> int:
    asks = ["--use_api_reward", "--rm_base_url", server.url, "--rm_model", "qwen-plus"]
    return cli.main(["score", *asks, *words])


def numbers() -> dict[str, Any]:
    return json.loads(Path("outputs/scores/scores.json").read_text())


def parts() -> dict[str, Any]:
    return numbers()["sources"]["math_reasoning"]["parts"]


def test_a_judge_is_asked_as_often_as_it_was_said(
    server: JudgeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(server, "--rows", "4") == 0
    out = capsys.readouterr().out
    assert len(server.requests) == 2 + 4 + 4  # to try it, references, junk
    assert "judge_score: at most 10 calls of qwen-plus (dashscope), at most about $" in out
    assert "judge/cost_usd $" in out and server.key not in out
    assert parts()["judge_score"]["means"] == {
        "reference": pytest.approx(8 / 9),
        "empty": 0.0,
        "junk": pytest.approx(1 / 9),
    }
    assert numbers()["curves"]["judge/calls"] == 10


def test_an_answer_that_was_judged_is_not_paid_for_again(server: JudgeServer) -> None:
    assert score(server, "--rows", "4") == score(server, "--rows", "4") == 0
    assert len(server.requests) == 10 + 2
    assert parts()["judge_cached"]["means"]["reference"] == 1.0


def test_dry_run_counts_the_calls_and_makes_none(
    server: JudgeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(server, "--rows", "4", "--rm_samples", "3", "--dry_run") == 0
    assert "at most 26 calls" in capsys.readouterr().out
    assert not server.requests and list(Path().iterdir()) == []


def test_an_attack_on_a_judge_leaves_out_every_number_and_counts_the_rest(
    server: JudgeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(server, "--rows", "4", "--attack", "--dry_run") == 0
    out = capsys.readouterr().out
    cheap = int(out.partition("judge_score 1, ")[2].split()[0])
    assert 60 < cheap < 160 and f"at most {2 + 4 + 4 + cheap} calls" in out


@pytest.mark.parametrize("server", [{"faults": every(4, Fault(500))}], indirect=True)
def test_a_judge_that_fails_now_and_then_is_asked_again(server: JudgeServer) -> None:
    assert score(server, "--rows", "3") == 0
    assert numbers()["sources"]["math_reasoning"]["failed"] == 0
    assert numbers()["curves"]["judge/retries"] >= 2


def test_a_spent_budget_ends_it_with_what_there_is(
    server: JudgeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--rows", "20", "--rm_budget", "12requests", "--rm_concurrency", "2"]
    assert score(server, *words) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert len(server.requests) == 12
    assert "the judge's budget is spent" in out and "Stopped after" in out
    assert "calls failed (budget" in out


def test_a_judge_that_cannot_be_asked_is_one_sentence(
    server: JudgeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "sk-another-key-0123456789")
    assert score(server, "--rows", "2") == 2
    refused = capsys.readouterr()
    assert refused.err.startswith("error: ") and refused.err.count("\n") == 1
    assert "sk-another-key" not in refused.out + refused.err
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    assert score(server, "--rows", "2") == 2
    assert "DASHSCOPE_API_KEY is not set" in capsys.readouterr().err


def test_a_reward_model_is_loaded_and_compared(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["score", "--reward_model", model, "--rows", "12"]) in (0, 1)  # random weights
    assert "Scoring 36 answers to 12 questions by rm_score 1." in capsys.readouterr().out
    assert {"rm_score", "rm_raw", "rm_truncated"} <= parts().keys()
    # affine: the references' own mean and deviation
    assert abs(parts()["rm_score"]["means"]["reference"]) < 1
    assert numbers()["curves"]["rm/calls"] >= 36


def test_a_mix_shows_every_part_with_its_weight(model: str, server: JudgeServer) -> None:
    Path("mix.yaml").write_text(
        "composite_reward:\n"
        "  weights: {rm_score: 0.1, judge_score: 0.4, rule_score: 0.5}\n"
        "  parts:\n    rm_score: {scale: sigmoid}\n"
        "  gates:\n    judge_score: {needs: rule_score, at_least: 1.0}\n"
    )
    words = ["--reward_model", model, "--reward_config", "mix.yaml", "--rows", "4"]
    assert score(server, *words) == 0
    assert len(server.requests) == 2 + 4  # junk never reaches the judge
    weights = {name: part["weight"] for name, part in parts().items() if part["weight"]}
    assert weights == {"rm_score": 0.1, "judge_score": 0.4, "rule_score": 0.5}
    assert parts()["judge_score"]["means"] == {"reference": pytest.approx(8 / 9)}
    means = {name: parts()[name]["means"]["reference"] for name in weights}
    scores = numbers()["sources"]["math_reasoning"]["scores"]
    assert scores["reference"]["mean"] == pytest.approx(
        sum(weight * means[name] for name, weight in weights.items())
    )
