"""A typo in any command of the English pages is told in words that name what was typed.

Each flag, key, file, number and choice of those commands loses a letter, or gets one too many,
once. Left out: words that may be anything, such as the name of a run.
"""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from tests.papers import KEYS, PAGES, READMES, VALUES, commands, judged, make_checkout
from tests.wrong_inputs import Place, Row
from verlaunch.cli import COMMANDS

FREE = {"--run_name", "--rm_model", "--prompt", "--rm_base_url", "--rm_url"}


def misspelt(word: str) -> str:
    """--batch_size -> --bach_size, data/my.json -> data/my.jon, 5e-7 -> 5e-7x"""
    if word[0].isdigit():
        return f"{word}x"
    name, equals, rest = word.partition("=")
    at = len(name) - 2
    return name[:at] + name[at + 1 :] + equals + rest


def typos() -> dict[str, list[str]]:
    """A misspelt word -> the command with it; each word of the pages once."""
    found: dict[str, list[str]] = {}
    lines = (line for paper in (READMES[0], *PAGES) for line in commands(paper))
    starts = re.compile(rf"\./train\.sh (?!({'|'.join(command.name for command in COMMANDS)}) )")
    for line in filter(starts.match, lines):
        words = shlex.split(line, comments=True)[1:]
        for at, (before, word) in enumerate(pairwise(["", *words])):
            wrong = misspelt(VALUES.get(word, word))
            if before not in FREE and wrong not in found:
                found[wrong] = [*words[:at], wrong, *words[at + 1 :]]
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_qwen2: Path, cache: Path) -> Place:
    folder = make_checkout(tmp_path_factory.mktemp("checkout"), tiny_qwen2)
    return Place(folder, None, cache)


@pytest.mark.parametrize("wrong", typos())
def test_a_typo_is_told(wrong: str, place: Place, tmp_path: Path) -> None:
    words = [VALUES.get(word, word) for word in typos()[wrong]]
    with judged(["verlaunch", *words, "--dry_run"]) as (env, argv):
        row = Row("", shlex.join(argv[1:]), "", env={**KEYS, **env, "OUTPUT_DIR": str(tmp_path)})
        code, out, err = place.tell(row)
    assert code == 2, out
    assert wrong.lstrip("-").partition("=")[0] in err
    assert "Traceback" not in err
