"""One question to a judge and its answer, whoever the provider is.

    answer = await client.ask(Ask("Grade strictly.", "Q: 2+2? A: 4. JSON, please.", SCHEMA))
    answer.text    # '{"reason": "correct", "score": 10}'

Left out on purpose: what the text means (rewards/judge/parse.py).
"""

from dataclasses import dataclass
from typing import Any, Literal

from rewards.judge.costs import Tokens

Finish = Literal["stop", "length", "refusal"]


@dataclass(frozen=True)
class Ask:
    """schema: the JSON schema of the answer, an object; max_tokens: of the answer."""

    system: str
    user: str
    schema: dict[str, Any]
    max_tokens: int = 1024


@dataclass(frozen=True)
class Answer:
    """finish: "length" when max_tokens cut it, "refusal" when a filter or the judge declined.

    tokens: as the provider bills them; None when it does not say.
    thought: what the server calls thought, kept apart from the text.
    """

    text: str
    finish: Finish
    tokens: Tokens | None = None
    thought: str = ""
