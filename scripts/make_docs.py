#!/usr/bin/env python3
"""Writes the tables of the pages, between their markers: flags, from configs/flags.yaml; metrics,
from record/report/names.py; memory and failures, from verlaunch; mistakes, from tests/wrong; what
the rules pay, from tests/rewards/pays.yaml; layouts of data, from tests/inputs/layouts.yaml.

Pages in English stand in docs/, the same in Chinese in docs/zh-CN/.

    .venv/bin/python scripts/make_docs.py            # after a change of flags or defaults
    .venv/bin/python scripts/make_docs.py --check    # says whether they are up to date

The Chinese words are in flags.zh-CN.yaml and metrics.zh-CN.yaml beside this file; what has none
keeps its English ones there, so that a new flag stays one row of one table. Everything else on the
pages is written by hand.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from verlaunch.config.flags import load_table
from verlaunch.config.help import markdown_table
from verlaunch.config.values import Flag
from verlaunch.launch.failures import table as failures
from verlaunch.plan.memory import docs_table
from verlaunch.record.report.names import METRICS, Metric

ROOT = Path(__file__).resolve().parent.parent
MARKERS = {
    "flags": ("<!-- flags: made by scripts/make_docs.py -->", "<!-- end of flags -->"),
    **{name: (f"<!-- {name} -->", f"<!-- /{name} -->")
       for name in ("metrics", "fits", "memory", "failures", "mistakes", "pays", "layouts")},
}  # fmt: skip
WRONG = ROOT / "tests" / "wrong"
PAYS = ROOT / "tests" / "rewards" / "pays.yaml"
LAYOUTS = ROOT / "tests" / "inputs" / "layouts.yaml"
PLAIN = {ord(sign): f"&#{ord(sign)};" for sign in "&<>|*_\\`$[]~"}  # pages read these otherwise
FITS = ("1 x 24 GB", "1 x 80 GB", "4 x 80 GB", "8 x 80 GB", "8 x 141 GB", "8 x 8 x 141 GB")
TOPICS = {
    "flags": "Flags, keys, recipes",
    "data": "Data and batches",
    "model": "Models",
    "config": "verl's own settings",
    "reward": "Rewards",
    "machine": "Machines",
    "cluster": "Several machines",
    "memory": "Memory",
}
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
    return with_words(text, words["table"])


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


def mistakes_table() -> str:
    """What each wrong input of tests/wrong is told; the tests hold every line of it."""
    lines: list[str] = []
    for file in sorted(WRONG.glob("*.yaml")):
        lines += [f"**{TOPICS[file.stem]}**", "", "| mistake | typed | answer |", "|---|---|---|"]
        for row in yaml.safe_load(file.read_text(encoding="utf-8")):
            typed = " ".join([*(f"{k}={v}" for k, v in row.get("env", {}).items()), row["type"]])
            said = row.get("says") or f"*warns:* {row['warns']}"
            cells = (row["what"], f"`{typed}`", " ".join(said.splitlines()))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _cell(texts: Sequence[Any]) -> str:
    """Each as code on a line of its own; what is no text as JSON."""
    shown = [text if isinstance(text, str) else json.dumps(text) for text in texts]
    lines = [text.replace("\n", "⏎").translate(PLAIN) or "(empty)" for text in shown]
    return "<br>".join(f"<code>{line}</code>" for line in lines)


def pays_table() -> str:
    """A table for each rule; the tests hold every line of it."""
    lines: list[str] = []
    for source, groups in yaml.safe_load(PAYS.read_text(encoding="utf-8")).items():
        lines += [f"## `{source}`", "", "| | the row | paid | not paid |", "|---|---|---|---|"]
        for group in groups:
            row = [group["truth"], *([group["extra"]] if "extra" in group else [])]
            fails = [f"*fails:* {_cell(group['fails'])}"] if "fails" in group else []
            unpaid = [_cell(group["pays_not"])] if "pays_not" in group else []
            paid = _cell(group.get("pays", []))
            cells = (group["about"], _cell(row), paid, "<br>".join(unpaid + fails))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def layouts_table() -> str:
    """What becomes of a row of each layout; the tests hold every line of it."""
    lines: list[str] = []
    for group, rows in yaml.safe_load(LAYOUTS.read_text(encoding="utf-8")).items():
        lines += [f"**{group}**", "", "| layout | a row | the model is asked | answer |"]
        lines.append("|---|---|---|---|")
        for row in rows:
            shown = _cell([json.dumps(row["row"], ensure_ascii=False)])
            asked = [row["asks"]] if isinstance(row.get("asks"), str) else row.get("asks", [])
            left_out = f"*left out:* {_cell([row['drops']])}" if "drops" in row else _cell(asked)
            unseen = f"<br>*not shown:* {', '.join(row['unseen'])}" if "unseen" in row else ""
            answer = _cell([row["answer"]]) if "answer" in row else ""
            lines.append(f"| {row['layout']} | {shown} | {left_out}{unseen} | {answer} |")
        lines.append("")
    return "\n".join(lines)


def with_words(table: str, words: dict[str, str]) -> str:
    """The same table in another language."""
    for english, other in words.items():
        table = table.replace(english, other)
    return table


def fits_table(page: str) -> str:
    """Some columns of the first table of docs/memory.md, with what was chosen alone."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in page.splitlines() if line.startswith("|")]  # fmt: skip
    head, rule = rows[:2]
    models = rows[2 : next(i for i in range(2, len(rows)) if rows[i] == head)]
    kept = [0, *(head.index(column) for column in FITS)]
    chosen = [[cell.partition("<br>")[0].strip("*") for cell in row] for row in models]
    table = [head, rule, *chosen]
    return "\n".join("| " + " | ".join(row[index] for index in kept) + " |" for row in table)


def with_table(page: str, name: str, table: str) -> str:
    """The page's text with what stands between the markers of this name replaced."""
    begin, end = MARKERS[name]
    before, found, rest = page.partition(begin)
    _, found_too, after = rest.partition(end)
    if not found or not found_too:
        raise SystemExit(f"a page has lost its markers: {begin} and {end}")
    return f"{before}{begin}\n{table.strip()}\n{end}{after}"


def pages() -> dict[str, dict[str, str]]:
    """Page -> marker -> its table, made anew."""
    table, fits = load_table(), docs_table.markdown()
    chinese = yaml.safe_load(CHINESE_METRICS.read_text(encoding="utf-8"))
    return {
        "README.md": {"fits": fits_table(fits)},
        "README.zh-CN.md": {"fits": with_words(fits_table(fits), chinese["fits"])},
        "docs/flags.md": {"flags": markdown_table(table)},
        "docs/zh-CN/flags.md": {"flags": chinese_table(table)},
        "docs/metrics.md": {"metrics": metrics_table(NO_WORDS)},
        "docs/zh-CN/metrics.md": {"metrics": metrics_table(chinese)},
        "docs/memory.md": {"memory": fits},
        "docs/zh-CN/memory.md": {"memory": with_words(fits, chinese["fits"])},
        "docs/failures.md": {"failures": failures.markdown()},
        "docs/mistakes.md": {"mistakes": mistakes_table()},
        "docs/rules.md": {"pays": pays_table()},
        "docs/layouts.md": {"layouts": layouts_table()},
        "docs/zh-CN/layouts.md": {"layouts": with_words(layouts_table(), chinese["layouts"])},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when out of date")
    check = parser.parse_args().check
    stale = []
    for name, tables in pages().items():
        before = after = (ROOT / name).read_text(encoding="utf-8")
        for marker, table in tables.items():
            after = with_table(after, marker, table)
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
