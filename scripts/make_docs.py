#!/usr/bin/env python3
"""Writes the tables of both READMEs, between their markers: the flags, from configs/flags.yaml, and
the metrics, from verlaunch/report/names.py.

    .venv/bin/python scripts/make_docs.py            # after a change of flags or defaults
    .venv/bin/python scripts/make_docs.py --check    # says whether they are up to date

The Chinese words are in flags.zh-CN.yaml and metrics.zh-CN.yaml beside this file; what has none
keeps its English ones there, so that a new flag stays one row of one table. Everything else in the
READMEs is written by hand.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from verlaunch.flags import load_table
from verlaunch.help import markdown_table
from verlaunch.report.names import METRICS, Metric
from verlaunch.values import Flag

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- flags: made by scripts/make_docs.py -->", "<!-- end of flags -->"
METRICS_BEGIN, METRICS_END = "<!-- metrics -->", "<!-- /metrics -->"
CHINESE = Path(__file__).with_name("flags.zh-CN.yaml")
CHINESE_METRICS = Path(__file__).with_name("metrics.zh-CN.yaml")
NO_WORDS: dict[str, Any] = {"table": {}, "words": {}, "groups": {}, "metrics": {}}
HEAD = "| name | verl's name | what it is | healthy |"


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


def _healthy(metric: Metric, words: dict[str, str]) -> str:
    def said(word: str) -> str:
        return words.get(word, word)

    if metric.trend:
        return said("rising")
    if metric.keeps:
        return f"{said('above')} {metric.keeps:.0%} {said('of its start')}"
    low, high = metric.healthy or (None, None)
    if low is not None and high is not None:
        return f"{low:g} {said('to')} {high:g}"
    bounds = {"above": low, "below": high}
    return next(
        (f"{said(word)} {bound:g}" for word, bound in bounds.items() if bound is not None), ""
    )


def metrics_table(words: dict[str, Any]) -> str:
    """A table for each group of metrics. words: those of metrics.zh-CN.yaml, or NO_WORDS."""
    lines: list[str] = []
    for group, metrics in groupby(METRICS, key=lambda metric: metric.group):
        lines += [f"**{words['groups'].get(group, group)}**", ""]
        lines += [words["table"].get(HEAD, HEAD), "|---|---|---|---|"]
        for metric in metrics:
            keys = ", ".join(f"`{key}`" for key in metric.keys) or "`val-core/*/mean@*`"
            help = words["metrics"].get(metric.name, metric.help)
            cells = (f"`{metric.name}`", keys, help, _healthy(metric, words["words"]))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def with_table(readme: str, table: str, begin: str = BEGIN, end: str = END) -> str:
    """The README's text with what stands between the markers replaced."""
    before, found, rest = readme.partition(begin)
    _, found_too, after = rest.partition(end)
    if not found or not found_too:
        raise SystemExit(f"a README has lost its markers: {begin} and {end}")
    return f"{before}{begin}\n{table.strip()}\n{end}{after}"


def with_metrics(readme: str, table: str) -> str:
    """As `with_table`; a README without markers has no table of metrics."""
    if METRICS_BEGIN not in readme:
        return readme
    return with_table(readme, table, METRICS_BEGIN, METRICS_END)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when out of date")
    check = parser.parse_args().check
    table, stale = load_table(), []
    chinese = yaml.safe_load(CHINESE_METRICS.read_text(encoding="utf-8"))
    for name, flags, metrics in (
        ("README.md", markdown_table(table), metrics_table(NO_WORDS)),
        ("README.zh-CN.md", chinese_table(table), metrics_table(chinese)),
    ):
        before = (ROOT / name).read_text(encoding="utf-8")
        after = with_metrics(with_table(before, flags), metrics)
        if after == before:
            continue
        stale.append(name)
        if not check:
            (ROOT / name).write_text(after, encoding="utf-8")
    if not stale:
        print("The tables are up to date.")
    elif check:
        print(f"Out of date: {', '.join(stale)}. Run .venv/bin/python scripts/make_docs.py")
    else:
        print(f"Wrote {', '.join(stale)}.")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
