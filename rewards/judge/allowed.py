"""What each of a judge's settings takes, and how to say so.

    read("samples", 3, folder)    # 3
    read("samples", "3", folder)  # Wrong("samples: '3' was given; it takes a whole number ...")

`folder` is where the setting was written: a text given as "@file" is read from there. Left out on
purpose: what settings mean together (settings.py).
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rewards.judge import prompts, template
from rewards.judge.providers import PROVIDERS

HIGHEST = 100  # of a scale: every number of it is listed in the schema of the answer
OFF = "off"
SHOWN = 80  # characters of a value in a message
_BUDGET = re.compile(r"([0-9]+)\s*requests?|([0-9]+(?:\.[0-9]+)?)\s*usd", re.IGNORECASE)
_REGIONS = tuple(region for provider in PROVIDERS.values() for region in provider.regions)

Reader = Callable[[Any, Path], Any]


class Wrong(ValueError):
    """problems: each a sentence on the same setting."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems


def _takes(given: Any, allowed: str) -> Wrong:
    shown = repr(given)
    return Wrong(f"{shown[:SHOWN]}{'...' * (len(shown) > SHOWN)} was given; it takes {allowed}")


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)


def _whole(low: int, high: int | None = None) -> Reader:
    allowed = f"a whole number from {low}" + (f" to {high}" if high else " up")

    def read(given: Any, folder: Path) -> int:
        if not _is_number(given) or given != int(given) or given < low or given > (high or given):
            raise _takes(given, allowed)
        return int(given)

    return read


def _positive(given: Any, folder: Path) -> float:
    if not _is_number(given) or given <= 0:
        raise _takes(given, "a number above 0")
    return float(given)


def _one_of(names: Collection[str]) -> Reader:
    def read(given: Any, folder: Path) -> str:
        if given not in names:
            raise _takes(given, "one of " + ", ".join(names))
        return given

    return read


def _word(given: Any, folder: Path) -> str:
    if not isinstance(given, str) or not given.strip():
        raise _takes(given, "some text")
    return given.strip()


def _text(given: Any, folder: Path) -> str:
    text = _word(given, folder)
    if not text.startswith("@"):
        return text
    path = folder / Path(text[1:]).expanduser()
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = "it is not UTF-8 text" if isinstance(error, ValueError) else "no such text file"
        raise Wrong(f"cannot read {path}: {why}") from None
    if not text:
        raise Wrong(f"{path} is empty")
    return text


def _template(given: Any, folder: Path) -> str:
    text = _text(given, folder)
    if problems := template.check_placeholders(text):
        raise Wrong(*problems)
    return text


def _url(given: Any, folder: Path) -> str:
    url = _word(given, folder)
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine, parts = False, urlsplit("")
    if "@" in parts.netloc or parts.query:  # written to the run's record, where no key may stand
        raise Wrong("it holds a name, password or query; the key belongs in the environment")
    if not fine:
        raise _takes(url, "a URL such as http://127.0.0.1:8000/v1")
    return url.rstrip("/")


def _scale(given: Any, folder: Path) -> tuple[int, int]:
    whole = isinstance(given, list | tuple) and all(type(end) is int for end in given)
    if not whole or len(given) != 2 or not 0 <= given[0] < given[1] <= HIGHEST:
        raise _takes(given, f"two whole numbers from 0 to {HIGHEST}, the lower first: [1, 10]")
    return given[0], given[1]


def _cache(given: Any, folder: Path) -> str:
    if given is False or given == OFF:  # YAML reads a bare off as false
        return OFF
    return str((folder / Path(_word(given, folder)).expanduser()).resolve())


def _off(given: Any, folder: Path) -> bool:
    if given is not False and given != OFF:  # YAML reads a bare off as false
        raise _takes(given, "off, or null for what the server does by itself")
    return False


def _switch(given: Any, folder: Path) -> bool:
    if not isinstance(given, bool):
        raise _takes(given, "true or false")
    return given


def _budget(given: Any, folder: Path) -> dict[str, Any]:
    match = _BUDGET.fullmatch(str(given).strip())
    if not match or not float(match[1] or match[2]):
        raise _takes(given, "an amount such as 5usd or 1000requests")
    if match[1]:
        return {"budget_requests": int(match[1])}
    return {"budget_usd": float(match[2])}


def _models(given: Any, folder: Path) -> dict[str, str]:
    if not isinstance(given, Mapping) or given.keys() - PROVIDERS.keys():
        raise _takes(given, f"a model for any of {', '.join(PROVIDERS)}")
    return {name: _word(model, folder) for name, model in given.items()}


READERS: dict[str, Reader] = {
    "api_type": _one_of(PROVIDERS),
    "model": _word,
    "default_models": _models,
    "base_url": _url,
    "region": _one_of(_REGIONS),
    "prompt_preset": _one_of(prompts.presets()),
    "system_prompt": _text,
    "scoring_prompt": _template,
    "scale": _scale,
    "lenient": _switch,
    "thinking": _off,
    "samples": _whole(1, 32),
    "max_tokens": _whole(16),
    "concurrency": _whole(1),
    "rpm": _positive,
    "tpm": _positive,
    "timeout_s": _positive,
    "retries": _whole(0),
    "cache": _cache,
    "budget": _budget,
}


def read(name: str, given: Any, folder: Path) -> Any:
    """The setting's value, checked. Raises Wrong."""
    try:
        return READERS[name](given, folder)
    except Wrong as wrong:
        raise Wrong(*(f"{name}: {problem}" for problem in wrong.problems)) from None
