"""The code rule from a response to its score, and what it says where no sandbox is to be had."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rewards.part import CannotStart, Failure
from rewards.rules.code import compute_score
from rewards.sandbox import tiers
from rewards.sandbox.tiers import isolation

KEYS = {"score", "compiled", "passed_all", "timeouts"}
ADD = {"inputs": ["1 2", "3 4", "0 0", "-1 1"], "outputs": ["3", "7", "0", "0"]}
RIGHT = "Read two numbers:\n```python\na, b = map(int, input().split())\nprint(a + b)\n```"
PARTLY = "```python\na, b = map(int, input().split())\nprint(abs(a) + b)\n```"


def score(response: str, tests: Any, extra_info: Any = None, **options: Any) -> dict[str, float]:
    options = {"allow_unsafe_code": True, "timeout_s": 5.0, **options}
    return asyncio.run(compute_score("code", response, tests, extra_info, **options))


def test_the_score_is_the_share_of_tests_that_pass() -> None:
    assert score(RIGHT, ADD) == {"score": 1, "compiled": 1, "passed_all": 1, "timeouts": 0}
    assert score(PARTLY, ADD) == {"score": 0.75, "compiled": 1, "passed_all": 0, "timeouts": 0}


@pytest.mark.parametrize("response", ["", "I do not know.", "```python\nprint(\n```", "print(5)"])
def test_rubbish_scores_zero(response: str) -> None:
    scored = score(response, json.dumps(ADD))
    assert scored.keys() == KEYS and scored["score"] == 0.0
    assert scored["compiled"] == float(response == "print(5)")


TRIPLE = "def triple(n):\n    return 3 * n"
WRONG = "def triple(n):\n    return 3"  # right for 1
UNITTEST = """
import unittest
from solution import triple

class TestTriple(unittest.TestCase):
    def setUp(self):
        self.seven = 7

    def test_numbers(self):
        self.assertEqual(triple(1), 3)
        self.assertAlmostEqual(triple(0.5), 1.5)
        self.assertTrue(triple(self.seven) == 21)

    def test_nothing(self):
        with self.assertRaises(TypeError):
            triple(None)

if __name__ == "__main__":
    unittest.main()
"""
IN_MANY_FORMS = [
    UNITTEST,
    "def test_triple():\n    for n in range(4):\n        assert triple(n) == n + n + n",
    "class TestTriple:\n    def test_it(self):\n        assert triple(2) == 6",
    "from solution import triple\n\ndef test_it():\n    assert triple(2) == 6",
    "import solution\nassert solution.triple(2) == 6",
    "from .triple import triple\nassert triple(2) == 6",
    "import pytest\ndef test_it():\n    with pytest.raises(TypeError):\n        triple(None)\n"
    "    assert triple(4) == 12",
    "def helper():\n    assert triple(2) == 6\n\ndef run():\n    helper()\n\nrun()",
    "if triple(2) != 6:\n    raise ValueError('no')",
]


@pytest.mark.parametrize("test", IN_MANY_FORMS)
def test_a_test_of_any_form_is_run_and_pays_the_right_program_alone(test: str) -> None:
    tests = {"functional": test}
    assert score(TRIPLE, tests)["score"] == 1.0
    # a class of its own in unittest's place proves nothing: the values are compared elsewhere
    fake = (
        "import unittest\nclass Fake:\n    def __init__(self, *_): pass\nunittest.TestCase = Fake\n"
    )
    for program in (WRONG, "pass", "triple = lambda n: None", fake + WRONG):
        assert score(program, tests)["score"] == 0.0


def test_a_body_is_completed_by_the_prompt_of_its_row() -> None:
    row = {
        "prompt": 'def half(n):\n    return n / 2\n\ndef twice(n):\n    """Twice n."""\n',
        "test": "def check(candidate):\n    assert candidate(half(8)) == 8",
        "entry_point": "twice",
    }
    for program in (
        "    return 2 * n",
        "def twice(n):\n    return n + n",
        "```\n    return 2 * n\n```",
    ):
        assert score(program, "", row)["score"] == 1.0
    for program in ("    return n", "def twice(n):\n    return n", "pass", "    pass"):
        assert score(program, "", row)["score"] == 0.0


def test_what_is_thought_is_no_program() -> None:
    assert score(f"<think>\n{RIGHT}\n</think>\nNo idea.", ADD)["score"] == 0.0
    assert score(f"<think>\n{PARTLY}\n</think>\n{RIGHT}", ADD)["score"] == 1.0
    assert score(f"Let me see.</think>\n<answer>\n{RIGHT}\n</answer>", ADD)["score"] == 1.0


def test_long_integers_are_read_printed_and_compared() -> None:
    nines = {"inputs": ["9" * 6000], "outputs": ["1" + "0" * 6000]}
    assert score("print(int(input()) + 1)", nines)["score"] == 1.0
    power = ["assert f(5000) == 11 ** 5000", "assert f(5000) != 11 ** 5001"]
    assert score("def f(n): return 11 ** n", power)["score"] == 1.0
    assert score("def f(n): return 11 ** (n + 1)", power)["score"] == 0.0


def test_tests_may_come_with_the_row() -> None:
    wins = {"tests": ["assert double(2) == 4"]}
    assert score("def double(x): return 2 * x", "the reference", wins)["score"] == 1.0


def test_only_so_many_tests_are_run() -> None:
    assert score(PARTLY, ADD, max_cases=3)["passed_all"] == 1.0


def test_hangs_are_counted() -> None:
    hang = "line = input()\nwhile line == '3 4': pass\nprint(3)"
    scored = score(hang, ADD, timeout_s=1.0)
    assert scored == {"score": 0.25, "compiled": 1, "passed_all": 0, "timeouts": 0.25}


def test_malformed_tests_are_no_score_even_for_an_empty_response() -> None:
    for response in ("", RIGHT):
        with pytest.raises(Failure) as caught:
            score(response, "forty-two")
        assert caught.value.kind == "data"


def test_rows_are_scored_side_by_side_and_the_loop_runs_on() -> None:
    async def all_rows() -> tuple[list[dict[str, float]], int]:
        rows = [
            asyncio.ensure_future(compute_score("code", text, ADD, allow_unsafe_code=True))
            for text in [RIGHT, PARTLY] * 4
        ]
        beats = 0
        while not all(row.done() for row in rows):
            await asyncio.sleep(0.01)
            beats += 1
        return [row.result() for row in rows], beats

    scored, beats = asyncio.run(all_rows())
    assert [row["score"] for row in scored] == [1.0, 0.75] * 4
    assert beats > 5


def test_no_more_programs_run_at_once_than_there_are_cores(tmp_path: Path) -> None:
    # the working folders of the running sandboxes are counted where they are made
    most, over = 0, threading.Event()

    def count() -> None:
        nonlocal most
        while not over.is_set():
            most = max(most, len(list(tmp_path.glob("verlaunch-sandbox-*"))))
            time.sleep(0.002)

    watcher = threading.Thread(target=count)
    watcher.start()
    code = (
        "import asyncio\nfrom rewards.rules.code import compute_score\n"
        f"async def main():\n    rows = [compute_score('code', {RIGHT!r}, {ADD!r}, "
        "allow_unsafe_code=True) for _ in range(12)]\n"
        "    print([row['score'] for row in await asyncio.gather(*rows)] == [1.0] * 12)\n"
        "asyncio.run(main())"
    )
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    over.set()
    watcher.join()
    assert done.stdout == "True\n", done.stderr
    assert 1 <= most <= len(os.sched_getaffinity(0))
    assert not list(tmp_path.iterdir())


def test_the_tier_in_use_is_named_in_a_sentence() -> None:
    tier = isolation(None, allow_unsafe_code=True)
    assert tier.name in ("namespaces", "process only")
    assert ("not isolated" in tier.sentence) == (tier.name == "process only")


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch):
    """As in a container whose seccomp filter forbids them; the other plans are tried for real."""
    real = tiers.run_local

    def refuse(plan: str, *rest: Any) -> Any:
        if plan == "namespaces":
            raise tiers.Refused("unshare(): Operation not permitted")
        return real(plan, *rest)

    monkeypatch.setattr(tiers, "run_local", refuse)
    tiers._local.cache_clear()
    yield
    tiers._local.cache_clear()


def test_where_nothing_isolates_programs_the_run_is_refused_with_the_way_out(no_namespaces) -> None:
    with pytest.raises(CannotStart) as caught:
        isolation(None, False)
    sentence = str(caught.value)
    assert all(word in sentence for word in ("--sandbox_url URL", "--allow_unsafe_code", "unshare"))
    with pytest.raises(Failure) as failed:
        score(RIGHT, ADD, allow_unsafe_code=False)
    assert failed.value.kind == "sandbox" and failed.value.final


def test_with_the_users_leave_programs_run_with_limits_only(no_namespaces) -> None:
    assert "not isolated" in isolation(None, True).sentence
    assert score(RIGHT, ADD)["score"] == 1.0
    assert score("import os\nprint(len(os.environ) + 3)", ADD)["score"] == 0.25


def test_the_rule_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'ray', 'verl', 'hydra', 'transformers', 'requests'}"
    code = f"import sys, rewards.rules.code\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
