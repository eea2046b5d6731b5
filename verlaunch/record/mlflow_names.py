"""Names of metrics as mlflow takes them, each once.

    names = Names()
    names("val-core/math@mean")      # "val-core/math_at_mean"
    names("/loss/"), names("loss")   # "loss", "loss_3c4f0a": another metric stays another

mlflow refuses a whole step for one name that it does not take: signs of other kinds, a path with an
empty part, "." or "..", more than 250 characters. verl (utils/tracking.py) mends the signs only.
"""

import hashlib
import re

LONGEST = 250
_SIGNS = re.compile(r"[^/\w.\- :]")
_DIGITS = 6


def _safe(name: str) -> str:
    signs = _SIGNS.sub("_", name.replace("@", "_at_"))
    parts = [part for part in signs.split("/") if part.strip()]
    whole = "/".join(re.sub(r"^\.+$", "_", part) for part in parts)
    return whole[:LONGEST].rstrip("/") or "_"


class Names:
    """The same for the same name, for as long as the process lasts."""

    def __init__(self) -> None:
        self._safe: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        if name not in self._safe:
            safe = _safe(name)
            if safe in self._safe.values():
                mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:_DIGITS]
                safe = f"{safe[: LONGEST - _DIGITS - 1]}_{mark}"
            self._safe[name] = safe
        return self._safe[name]
