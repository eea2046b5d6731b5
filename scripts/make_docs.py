#!/usr/bin/env python3
"""Writes the flags tables of both READMEs, between their markers, from configs/flags.yaml.

    .venv/bin/python scripts/make_docs.py            # after a change of flags or defaults
    .venv/bin/python scripts/make_docs.py --check    # says whether they are up to date

The Chinese words are in flags.zh-CN.yaml beside this file; a flag without any keeps its English
ones there, so that a new flag stays one row of one table. Everything else in the READMEs is
written by hand.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from verlaunch.flags import load_table
from verlaunch.help import markdown_table
from verlaunch.values import Flag

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- flags: made by scripts/make_docs.py -->", "<!-- end of flags -->"
CHINESE = Path(__file__).with_name("flags.zh-CN.yaml")


def _in_chinese(flag: Flag, words: dict[str, Any]) -> Flag:
    own = words["flags"].get(flag.name, {})
    group = words["groups"].get(flag.group, flag.group)
    unset = own.get("unset", flag.unset)
    return replace(flag, group=group, help=own.get("help", flag.help), unset=unset)


def chinese_table(table: Sequence[Flag]) -> str:
    """The same tables with the words of flags.zh-CN.yaml."""
    words = yaml.safe_load(CHINESE.read_text(encoding="utf-8"))
    text = markdown_table([_in_chinese(flag, words) for flag in table])
    for english, chinese in words["table"].items():
        text = text.replace(english, chinese)
    return text


def with_table(readme: str, table: str) -> str:
    """The README's text with what stands between the markers replaced."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"a README has lost its markers: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table.strip()}\n{END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when out of date")
    check = parser.parse_args().check
    table, stale = load_table(), []
    for name, text in (
        ("README.md", markdown_table(table)),
        ("README.zh-CN.md", chinese_table(table)),
    ):
        before = (ROOT / name).read_text(encoding="utf-8")
        after = with_table(before, text)
        if after == before:
            continue
        stale.append(name)
        if not check:
            (ROOT / name).write_text(after, encoding="utf-8")
    if not stale:
        print("The flags tables are up to date.")
    elif check:
        print(f"Out of date: {', '.join(stale)}. Run .venv/bin/python scripts/make_docs.py")
    else:
        print(f"Wrote {', '.join(stale)}.")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
