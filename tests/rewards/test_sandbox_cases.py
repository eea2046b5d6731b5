"""Which program a response holds, which tests a row holds, and what counts as the same result."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.part import Failure
from rewards.sandbox.cases import read_cases
from rewards.sandbox.checks import hide
from rewards.sandbox.equal_values import Check, equal, holds
from rewards.sandbox.inside.harness import plain
from rewards.sandbox.output import same_output
from rewards.sandbox.program import LONGEST, find_program
from rewards.sandbox.runnable import make_runnable

PROGRAMS = [
    ("```python\nprint(1)\n```", "print(1)\n"),
    ("```py\nprint(1)\n```\nIt prints 1.", "print(1)\n"),
    ("first\n```python\nprint(1)\n```\nbetter\n```python\nprint(2)\n```", "print(2)\n"),
    ("```python\nprint(1)\n```\nOutput:\n```\n1\n```", "print(1)\n"),
    ("```python\nprint(1)\n```\nRun it:\n```bash\npython x.py\n```", "print(1)\n"),
    ("```\nprint(1)\n```", "print(1)\n"),
    ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''\n"),
    ("1. so:\n   ```python\n   x = 1\n   ```", "x = 1\n"),
    ("```python\nprint(1)", "print(1)"),
    ("print(1)", "print(1)"),
]


@pytest.mark.parametrize(("response", "program"), PROGRAMS)
def test_the_last_python_block_is_the_program(response: str, program: str) -> None:
    assert find_program(response) == program


@pytest.mark.parametrize(
    "response", ["", " \n", "```python\n```", "```bash\nls\n```", "x" * (LONGEST + 1)]
)
def test_a_response_without_a_program_has_none(response: str) -> None:
    assert find_program(response) is None


@given(st.lists(st.sampled_from(["```", "python", "\n", "x", " ", "~~~", "````"])).map("".join))
@settings(max_examples=200, deadline=None)
def test_no_mixture_of_fences_makes_it_raise(response: str) -> None:
    program = find_program(response)
    # Of an indented block the lines stand in the response, and their common indentation does not.
    assert program is None or all(line.strip() in response for line in program.splitlines())


def test_every_form_of_tests_is_read() -> None:
    stdin = {"inputs": ["1\n", ["2", "3"]], "outputs": ["1\n", ["2", "3"]]}
    forms = [
        (stdin, 2),
        (json.dumps(stdin), 2),
        ({"fn_name": "f", "inputs": [[1], "2\n3"], "outputs": [1, "5"]}, 2),
        ({"assert_case": ["assert f(1) == 2"]}, 1),
        (["assert f(1) == 2", "assert f(2) == 3"], 2),
        ({"functional": "def check(c):\n  assert c(1) == 2", "entry_point": "f"}, 1),
        ({"inputs": np.array(["1"]), "outputs": np.array(["1"]), "fn_name": None}, 1),
        ({"inputs": [None, ""], "outputs": ["1", "1"]}, 2),
        ({"assert_case": ["assert f(1) == 2"], "inputs": [""], "outputs": [None]}, 1),
        ({"assert_case": None, "inputs": [[1]], "outputs": [2], "fn_name": "f"}, 1),
        ([{"input": "1\n", "output": "2\n", "testtype": "stdin"}] * 3, 3),
        ("def test_f():\n    assert f(1) == 2", 1),
    ]
    for given_tests, count in forms:
        assert len(read_cases(given_tests, None, 20)) == count
        assert len(read_cases("def f(x): ...", {"tests": given_tests}, 20)) == count


@pytest.mark.parametrize(
    "columns",
    [
        {"test_list": ["assert f(k) == floor(2.5)"], "test_setup_code": "k = 1",
         "test_imports": ["from math import floor"]},
        {"test": "def check(candidate):\n    assert candidate(1) == 2", "entry_point": "f"},
        {"tests": [{"input": "1", "output": "2", "testtype": "functional"}],
         "metadata": '{"func_name": "f"}'},
        {"tests": {"functional": "from mine.f import f\nassert f(1) == 2"}, "entry_point": "f"},
        {"tests": {"functional": "assert candidate(1) == 2"}, "fn_name": "f"},
    ],
)  # fmt: skip
def test_tests_are_found_in_the_columns_of_other_peoples_data(columns: dict) -> None:
    [case] = read_cases("the reference", columns, 20)
    assert case.source is not None and "f" in case.source and len(case.checks) == 1


def test_only_the_first_cases_are_used() -> None:
    tests = {"inputs": [str(i) for i in range(30)], "outputs": [str(i) for i in range(30)]}
    assert [case.stdin for case in read_cases(tests, None, 3)] == ["0", "1", "2"]


BAD = [
    *("", "42", "no json", "{}", "[]", "null", '{"inputs": ["1"]}', '{"inputs": 1, "outputs": 1}'),
    '{"inputs": ["1"], "outputs": []}',
    '{"inputs": [1], "outputs": ["1"]}',
    '{"inputs": [[1]], "outputs": [1], "fn_name": "os.system"}',
    '{"inputs": [1], "outputs": [1], "fn_name": "f"}',
    '{"inputs": ["x y"], "outputs": ["1"], "fn_name": "f"}',
    '["assert f(1 == 2"]',
    '{"assert_case": [1]}',
    '{"assert_case": 5}',
    '{"functional": ""}',
]


BAD += [
    json.dumps([test])
    for test in (
        # nothing is checked, whatever the program does
        *("f(1) == 2", "print(f(1))", "assert True", "x = 1\nassert x == 1", "assert 1 == 1"),
        *("def check(f):\n    assert f(1) == 2", "def never():\n    assert f(1) == 2"),
        # no program could pass
        *("import numpy\nassert numpy.all(f(1))", "assert np.isclose(f(1), 2)", "assert f(1) == y"),
        *(
            "from other.thing import f\nassert f(1) == 2",
            "def test_f(data):\n    assert f(data) == 2",
        ),
        *(
            "assert f(1) == " + "9" * 5000,
            "import pytest\n@pytest.fixture\ndef test(): assert f(1)",
        ),
    )
]
BAD += ['{"inputs": [[' + "9" * 5000 + ']], "outputs": [1], "fn_name": "f"}']
BAD += ['[{"input": "1", "output": "2", "testtype": "functional"}]', '[{"output": "2"}]']


@pytest.mark.parametrize("test", ["import numpy\nassert f(1)", "assert np.all(f(1))"])
def test_a_package_that_is_not_there_is_named(test: str) -> None:
    with pytest.raises(Failure, match="numpy"):
        read_cases([test], None, 20)


@pytest.mark.parametrize("tests", BAD)
def test_malformed_tests_are_a_failure_of_the_data(tests: str) -> None:
    with pytest.raises(Failure) as caught:
        read_cases(tests, None, 20)
    assert caught.value.kind == "data" and not caught.value.final


def test_what_goes_into_the_sandbox_holds_no_expected_value() -> None:
    forms = [
        {"inputs": ["1"], "outputs": ["887766"]},
        {"fn_name": "f", "inputs": [[1]], "outputs": [887766]},
        ["assert f(1) == 887766", "assert 887766 == f(1), '887766'", "assert f(1) in (887766, 1)"],
        ["assert set(f(1)) == set([887766])", "assert abs(f(1) - 887766.0) < 1e-6"],
        ["assert f(1) and g(1) == [887766]", "assert math.isclose(f(1), 887766, rel_tol=0.1)"],
        {"functional": "def check(f):\n    assert f(1) == {'a': 887766}\ncheck(f)"},
    ]
    for tests in forms:
        for case in read_cases(tests, None, 20):
            assert "887766" not in json.dumps(case.task())


def test_check_is_called_with_the_named_function_unless_the_test_does() -> None:
    test = "def check(c):\n    assert c(1) == 2"
    for tests in ({"functional": test, "fn_name": "f"}, {"functional": test + "\ncheck(f)"}):
        [case] = read_cases(tests, None, 20)
        assert case.source is not None and case.source.count("check(f)") == 1
        assert case.checks == (Check("==", 2, required=True),)


HIDDEN = [
    ("assert f(1) == 2", Check("==", 2)),
    ("assert 2 == f(1)", Check("==", 2)),
    ("assert 2 < f(1)", Check(">", 2)),
    ("assert f(1) != 2", Check("!=", 2)),
    ("assert f(1) is None", Check("is", None)),
    ("assert f(1) is not None", Check("is not", None)),
    ("assert f(1) in [1, 2]", Check("in", [1, 2])),
    ("assert f(1)", Check("true")),
    ("assert not f(1)", Check("false")),
    ("assert 1 < f(1) < 3", Check("true")),
    ("assert f(1) == g(1)", Check("same")),
    ("assert set(f(1)) == set([1])", Check("==", {1})),
    ("assert abs(f(1) - 0.5) < 1e-6", Check("near", (0.5, 0.0, 1e-6))),
    ("assert abs(0.5 - f(1)) <= 1e-6", Check("near", (0.5, 0.0, 1e-6))),
    ("assert math.isclose(f(1), 0.5)", Check("near", (0.5, 1e-9, 0.0))),
    ("for x in (1, 2):\n    assert f(x) == 2", Check("==", 2, required=False)),
    ("if f(0):\n    assert f(1) == 2", Check("==", 2, required=False)),
]


@pytest.mark.parametrize(("test", "check"), HIDDEN)
def test_an_assertion_is_taken_apart(test: str, check: Check) -> None:
    source, checks = hide(make_runnable(test))
    assert checks == (check,) and "assert" not in source


def test_a_test_that_catches_assertion_errors_keeps_its_asserts() -> None:
    test = "try:\n    assert f(1) == 2\nexcept AssertionError:\n    raise"
    assert hide(make_runnable(test)) == (test, ())


SAME = [("1\n", "1"), ("1 2 \n\n", "1  2"), ("0.50", ".5"), ("1e3", "1000"), ("2.0000001", "2.0")]
SAME += [("8.0", "8"), ("8e2", "800"), ("10e399", "1e400"), ("0.3333333", "0.33333333")]
SAME += [("a\r\nb", "a\nb"), ("+3", "3"), ("", "\n"), ("nan", "nan"), ("1" * 500, "1" * 500)]
DIFFERENT = [("1", "2"), ("1 2", "1\n2"), ("007", "7"), ("Yes", "YES"), ("1", ""), ("0.51", "0.5")]
DIFFERENT += [("9007199254740993", "9007199254740992"), ("1e999", "2"), ("1" * 500, "1" * 501)]
DIFFERENT += [("7.0000001", "7"), ("700000.0001", "700000"), ("1e400", "2e400"), ("inf", "1e999")]


@pytest.mark.parametrize(("printed", "expected"), SAME)
def test_spacing_and_spelling_of_numbers_do_not_matter(printed: str, expected: str) -> None:
    assert same_output(printed, expected)


@pytest.mark.parametrize(("printed", "expected"), DIFFERENT)
def test_other_output_is_wrong(printed: str, expected: str) -> None:
    assert not same_output(printed, expected)


ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3)
KEYS = st.integers() | st.text(max_size=3) | st.tuples(st.integers(), st.booleans())
VALUES = st.recursive(
    ATOMS | st.binary(max_size=3) | st.sets(KEYS, max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES, VALUES)
@settings(max_examples=300, deadline=None)
def test_a_reported_value_equals_another_as_the_values_themselves_do(a, b) -> None:
    reported = json.loads(json.dumps(plain(a)))
    assert equal(reported, a)
    assert equal(reported, b) == (a == b)


JSON = st.recursive(ATOMS, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x))
OPERATORS = ["==", "!=", "<", ">=", "is", "in", "true", "near", "returns", "same"]


@given(JSON, VALUES, st.sampled_from(OPERATORS))
@settings(max_examples=300, deadline=None)
def test_no_report_makes_a_check_raise(report, expected, name: str) -> None:
    if name == "near":
        expected = (1.0, 1e-9, 0.0)
    if name == "in":
        expected = [expected]
    assert holds(Check(name, expected), {"left": report, "right": report}) in (True, False)


HOLDING = [
    ("<", 3, 2, True),
    ("<", 3, "2", False),
    ("<", 3, None, False),
    ("is", None, None, True),
    ("is", True, 1, False),
    ("is not", None, 0, True),
    ("in", "abc", "b", True),
    ("in", (1, 2), 2, True),
    ("not in", (1, 2), 2, False),
    ("near", (0.5, 0.0, 0.1), 0.45, True),
    ("near", (0.5, 0.0, 0.1), math.nan, False),
    ("returns", [2], 2, True),
    ("returns", [1, 2], (1, 2), True),
    ("returns", {"1": 2.0}, {1: 2.0000001}, True),
    ("returns", 2, 3, False),
    ("returns", 2, 2.0, True),
    ("returns", 2, 2.0000001, False),
    ("returns", 2.0000001, 2, True),
    ("returns", "2", 2, False),
    ("==", [1, 2], (1, 2), False),
]


@pytest.mark.parametrize(("name", "expected", "value", "result"), HOLDING)
def test_operators_mean_what_they_mean_in_python(name, expected, value, result) -> None:
    assert holds(Check(name, expected), {"left": plain(value)}) is result


def test_a_long_integer_is_reported_whole() -> None:
    reported = json.loads(json.dumps(plain(7**6000)))
    assert holds(Check("==", 7**6000), {"left": reported})
    assert not holds(Check("==", 7**6001), {"left": reported})


def test_an_object_that_equals_everything_equals_nothing_here() -> None:
    class Any:
        def __eq__(self, other: object) -> bool:
            return True

    for check in (
        Check("==", 2),
        Check("==", [2]),
        Check("returns", None),
        Check("near", (2, 1, 1)),
    ):
        assert not holds(check, {"left": plain(Any())})
