"""report.html: one file that shows a run, with no network, to anyone who has a browser.

    page = html(history, summarize(history), png)

The data stands in the page as JSON; the script reads it and puts text in place as text, never as
markup. A content policy allows this one script and this one style, by their hashes, and nothing
else. Left out on purpose: full samples and unthinned curves; those are in the run's own files.
"""

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from typing import Any

from verlaunch.record.report.history import History
from verlaunch.record.report.page import facts
from verlaunch.record.report.page.charts import charts
from verlaunch.record.report.page.embed import as_json
from verlaunch.record.report.page.settings import differences
from verlaunch.record.report.page.shown_samples import choose

HERE = Path(__file__).parent
SCRIPTS = ("dom", "scale", "marks", "chart", "samples", "page")  # one after the other, one scope
SLOT = re.compile(r"\{\{(\w+)\}\}")


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As the policy names an inline element: over exactly what stands between its tags."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _picture(png: bytes | None) -> str:
    """For a reader without scripts."""
    if png is None:
        return ""
    data = base64.b64encode(png).decode()
    return f'<img alt="Training curves" src="data:image/png;base64,{data}">'


def _data(history: History, summary: dict[str, Any]) -> dict[str, Any]:
    return {
        "head": facts.head(history, summary),
        "glance": facts.glance(summary),
        "verdicts": facts.verdicts(summary),
        "alerts": facts.alerts(history),
        "charts": charts(history),
        "samples": choose(history.samples),
        "sampled": len(history.samples),
        "judge": facts.judge(summary),
        "phases": facts.phases(summary),
        "settings": differences(history.config),
        "versions": facts.versions(history),
        "files": facts.files(history),
    }


def html(history: History, summary: dict[str, Any], png: bytes | None = None) -> str:
    """summary: of report/summary.py. png: the training curves."""
    style = _read("page.css")
    script = "".join(_read(f"script/{name}.js") for name in SCRIPTS)
    slots = {
        "policy": _policy(style, script),
        "title": escape(facts.title(history)),
        "style": style,
        "picture": _picture(png),
        "data": as_json(_data(history, summary)),
        "script": script,
    }
    return SLOT.sub(lambda slot: slots[slot[1]], _read("page.html"))
