"""Anything a run can hold as text inside an HTML page, where it stays text.

    as_json({"response": "</script><script>alert(1)"})
    # {"response":"\\u003c/script\\u003e\\u003cscript\\u003ealert(1)"}

For `<script type="application/json">`: without `<`, `>` and `&` no tag, comment or entity begins.
"""

import json
import re
from typing import Any

from verlaunch.record.report.names import without_nan

# U+2028/9 end a line in JavaScript; a lone surrogate has no UTF-8.
UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
LONGEST = 4000  # characters of a text


def as_json(data: Any) -> str:
    text = json.dumps(
        without_nan(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str
    )
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def cut(text: str, longest: int = LONGEST) -> str:
    """At most `longest` characters of it, and how many more there were."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}\n… {len(text) - longest:,} more characters"
