"""Judge models that are gone or will go, with what replaces them: rewards/judge/retired.yaml.

    model_notes("gemini", "gemini-1.5-flash")
    # ["gemini-1.5-flash was retired in 2025-09; use another: --rm_model gemini-3.5-flash-lite"]

Notes and no more: a proxy may keep an old name alive, and the first live call decides.
"""

from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

TABLE = Path(__file__).with_name("retired.yaml")


def model_notes(provider: str, model: str, today: date | None = None) -> list[str]:
    """A sentence when the provider has switched the model off, or said when it will."""
    known: dict[str, dict[str, str]] = yaml.safe_load(TABLE.read_text("utf-8")).get(provider, {})
    name = model.lower().removeprefix("models/")  # Gemini lists its models with this prefix
    found = next((fact for pattern, fact in known.items() if fnmatchcase(name, pattern)), None)
    if found is None:
        return []
    over = found["end"] <= (today or date.today()).isoformat()  # "2025-09" sorts before its days
    verb = "was retired" if over else "will be retired"
    when = f"{'in' if found['end'].count('-') == 1 else 'on'} {found['end']}"
    return [f"{model} {verb} {when}; use another: --rm_model {found['use']}"]
