"""./train.sh score as a person runs it: words in, one screen and three files out, an exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from verlaunch import cli
from verlaunch.config.flags import load_table
from verlaunch.paths import as_typed
from verlaunch.tools.score.flags import HELP, OWN

SCRIPT = [sys.executable, "-m", "verlaunch", "score"]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user with nothing set, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    for flag in load_table():
        if flag.env:
            monkeypatch.delenv(flag.env, raising=False)


def main(words: list[str]) -> int:
    return cli.main(["score", *words])


def jsonl(name: str, *rows: object) -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def own(body: str) -> list[str]:
    Path("own.py").write_text(f"def score(solution_str, ground_truth):\n    {body}\n")
    return ["--reward_fn", "own.py:score"]


def test_the_samples_and_their_rule_are_fine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rows", "9"]) == 0
    out = capsys.readouterr().out
    assert "Scoring 27 answers to 9 questions by rule_score 1." in out
    assert "good all 9 reference answers score above empty and junk answers" in out
    assert max(map(len, out.splitlines()[:-1])) <= 100


@pytest.mark.slow
def test_rules_need_neither_torch_nor_ray_nor_verl(tmp_path: Path) -> None:
    code = (
        "import sys; from verlaunch.cli import main; code = main(['score', '--rows', '5']); "
        "assert not {'torch', 'ray', 'verl', 'transformers', 'vllm'} & sys.modules.keys(); "
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_script_runs_from_anywhere(tmp_path: Path) -> None:
    done = subprocess.run([*SCRIPT, "--rows", "3"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs" / "scores" / "scores.png").is_file()


def test_files_go_where_they_are_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rows", "4", "--out", "here", "--json", "there/n.json"]) == 0
    numbers = json.loads(Path("there/n.json").read_text())["sources"]["math_reasoning"]
    assert numbers["scores"]["reference"]["mean"] == 1.0 and numbers["answers"] == 12
    assert numbers["parts"]["rule_score"]["weight"] == 1.0
    assert numbers["verdict"][0]["level"] == "good"
    answers = [json.loads(line) for line in Path("here/scores.jsonl").read_text().splitlines()]
    assert [one["kind"] for one in answers] == ["reference", "empty", "junk"] * 4
    assert [one["score"] for one in answers] == [1.0, 0.0, 0.0] * 4
    assert Path("here/scores.png").read_bytes().startswith(b"\x89PNG")
    assert not Path("outputs").exists()


def test_a_constant_reward_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*own("return 0"), "--rows", "4"]) == 1
    assert "BAD  constant reward: every answer scores 0" in capsys.readouterr().out


def test_a_failing_reward_is_counted_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*own("return float(solution_str[0] == ground_truth)"), "--rows", "10"]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "rule_score: 10 of 30 calls failed (exception): own.py:2: IndexError" in out
    assert "a run would stop here: rule_score: " in out and " rewards failed" in out
    lines = Path("outputs/scores/scores.jsonl").read_text().splitlines()
    empty = [one for one in map(json.loads, lines) if one["kind"] == "empty"]
    assert [one["score"] for one in empty] == [None] * 10
    assert all("IndexError" in one["reason"] and "rule_score" not in one for one in empty)


def test_why_is_my_reward_always_0(capsys: pytest.CaptureFixture[str]) -> None:
    sample = {"step": 3, "prompt": "6 * 7?", "ground_truth": "42", "data_source": "math_reasoning"}
    texts = ("I think about six and about seven and about", "let us see what comes of it, then")
    file = jsonl("3.jsonl", *({**sample, "response": text, "score": 0.0} for text in texts))
    assert main(["--responses", file]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:-1])) <= 100 and len(lines) < 30  # one screen
    out = " ".join(" ".join(lines).split())
    assert "BAD every response scores 0: none has an answer that the rule finds" in out
    assert "all 2 responses stop in mid-sentence" in out and "not as in the file" not in out
    assert 'asked "6 * 7?" answered "I think about six' in out


def test_the_run_s_own_words_choose_data_and_reward(capsys: pytest.CaptureFixture[str]) -> None:
    data = jsonl("data.jsonl", {"ask": "2+3?", "say": "5"}, {"ask": "2+4?", "say": "6"})
    recipe = Path("recipe.yaml")
    recipe.write_text("verlaunch:\n  prompt_key: ask\n  answer_key: say\n")
    words = ["--data", data, "--recipe", str(recipe), "--data_source=gsm8k", "--lr", "1e-5"]
    assert main([*words, "data.seed=3"]) == 0
    assert "gsm8k: 2 questions, 6 answers" in capsys.readouterr().out


def test_data_of_several_kinds_has_a_verdict_each(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"prompt": "2+3?", "ground_truth": "5", "data_source": "math_reasoning"}
    qa = {"prompt": "Capital of France?", "ground_truth": "Paris", "data_source": "qa"}
    brief = {"prompt": "Be brief.", "ground_truth": "I am.", "data_source": "length"}
    assert main(["--data", jsonl("data.jsonl", row, qa, brief)]) == 1
    numbers = json.loads(Path("outputs/scores/scores.json").read_text())["sources"]
    levels = {name: found["verdict"][0]["level"] for name, found in numbers.items()}
    # junk is as short as a good answer, so length alone is no reward
    assert levels == {"math_reasoning": "good", "qa": "good", "length": "bad"}
    assert "answered" in numbers["math_reasoning"]["parts"]
    assert "answered" not in numbers["qa"]["parts"] and "f1" in numbers["qa"]["parts"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--row", "5"], "--row is not a flag. Did you mean --rows?"),
        (["--rows", "0"], "--rows 0: takes a whole number at least 1."),
        (["--responses", "none.jsonl"], "none.jsonl not found"),
        (["--data", "none.json"], "none.json not found"),
        (["--reward_fn", "none.py:score"], "none.py not found"),
        (["--reward_fn", "broken.py:score"], "broken.py:1: ZeroDivisionError"),
        (["--data", "data.jsonl"], "no rule for data_source 'math_reasonin'"),
        (["--print_config"], "--print_config belongs to training"),
        (["--out", "data.jsonl"], "data.jsonl cannot be written (File exists)"),
        (["trainer.total_epoch=3"], "trainer.total_epoch"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.py").write_text("1 / 0\n")
    row = {"prompt": "2+3?", "ground_truth": "5", "data_source": "math_reasonin"}
    jsonl("data.jsonl", row)
    assert main([*words]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and errors[0].startswith("error: ") and said in errors[0]


def test_an_attack_says_which_cheap_answers_are_paid(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main([*own("return float(ground_truth in solution_str)"), "--rows", "4", "--attack"]) == 1
    )
    out = " ".join(capsys.readouterr().out.split())
    assert "BAD cheap answers are paid (" in out and "the reference denied on 4 of 4" in out
    source = json.loads(Path("outputs/scores/scores.json").read_text())["sources"]["math_reasoning"]
    assert source["scores"].keys() == {"reference", "empty", "junk"} and source["answers"] == 12
    denied = next(one for one in source["attack"] if one["kind"] == "the reference denied")
    assert denied["rows"] == len(denied["paid"]) == 4
    assert "not" in denied["paid"][0]["response"] and denied["paid"][0]["score"] == 1.0
    lines = Path("outputs/scores/scores.jsonl").read_text().splitlines()
    assert len({json.loads(line)["kind"] for line in lines}) > 15


def test_an_attack_on_a_sound_reward_fails(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*own("return float(solution_str.strip() == ground_truth)"), "--rows", "4", "--attack"]
    assert main(words) == 0
    assert "good none of " in capsys.readouterr().out
    assert main([*words, "--dry_run"]) == 0
    assert "of them cheap ones" in capsys.readouterr().out


def test_dry_run_says_how_much_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dry_run", "--rows", "7"]) == 0
    assert capsys.readouterr().out == "Scoring 21 answers to 7 questions by rule_score 1.\n"
    assert list(Path().iterdir()) == []


def test_help_names_every_flag_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == as_typed(HELP)
    assert all(f"  --{flag.name} {flag.metavar}" in HELP for flag in OWN)
    assert max(map(len, HELP.splitlines())) <= 90
    assert {flag.name for flag in OWN}.isdisjoint(flag.name for flag in load_table())
