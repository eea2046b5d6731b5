"""Imports go one way: a room of verlaunch/ knows the rooms below it, none above and none beside it.

Read from the import statements of every file, those inside functions too, and from modules that are
named in strings (`-m verlaunch.machine.guardian`). What each room is for: docs/architecture.md.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = (  # from the ground up
    {"errors", "text"},
    {"paths"},
    {"machine", "config"},
    {"inputs", "record"},
    {"weights", "cluster"},
    {"plan", "engine"},
    {"launch", "tools"},
    {"cli"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
DOTTED = re.compile(r"(?<![\w./-])(?:verlaunch|rewards|scripts|tests)(?:\.\w+)+")
FILES = sorted((ROOT / "verlaunch").rglob("*.py"))


def exists(module: str) -> bool:
    path = ROOT / module.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def modules_in(source: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each module that is imported, or named in a string."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            names = (f"{start}.{alias.name}" for alias in node.names)
            yield from ((node.lineno, name) for name in names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ((node.lineno, name) for name in DOTTED.findall(node.value) if exists(name))


def room_of(module: str) -> str:
    """`verlaunch.plan.memory.fit`  ->  "plan" """
    package, _, below = module.partition(".")
    return below.partition(".")[0] if package == "verlaunch" else ""


def upward(room: str, source: str) -> list[str]:
    """What the code of a room imports although it may not, as `line: module`."""
    known = [(line, name, room_of(name)) for line, name in modules_in(source)]
    assert not [name for _, name, _ in known if name.startswith(".")], "write the room's name out"
    return [
        f"{line}: {name}"
        for line, name, other in known
        if other != room and FLOOR.get(other, -1) >= FLOOR[room]
    ]


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_a_room_knows_only_those_below_it(room: str) -> None:
    files = [path for path in FILES if path.relative_to(ROOT).parts[1].split(".")[0] == room]
    assert files
    found = {str(path.relative_to(ROOT)): upward(room, path.read_text()) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_every_room_has_a_floor() -> None:
    entries = {path.relative_to(ROOT).parts[1].split(".")[0] for path in FILES}
    assert entries - {"__init__", "__main__"} == set(FLOOR)


def test_an_arrow_that_is_turned_round_is_found() -> None:
    assert upward("machine", "from verlaunch.plan import outlook") == ["1: verlaunch.plan.outlook"]
    assert upward("record", "def f():\n    import verlaunch.engine.platform") != []
    assert upward("weights", '["-m", "verlaunch.engine.processes.driver"]') != []
    assert upward("plan", "from verlaunch.engine import threads") != []  # rooms of one floor
    assert upward("launch", "from verlaunch.plan import outlook") == []


@pytest.mark.parametrize("path", sorted((ROOT / "rewards").rglob("*.py")), ids=lambda p: p.name)
def test_rewards_know_nothing_of_the_launcher(path: Path) -> None:
    assert not [name for _, name in modules_in(path.read_text()) if name.startswith("verlaunch")]


def test_nothing_imports_scripts_or_tests() -> None:
    for path in [*FILES, *(ROOT / "rewards").rglob("*.py")]:
        roots = {name.partition(".")[0] for _, name in modules_in(path.read_text())}
        assert not roots & {"scripts", "tests"}, path
