"""Is the response written in the form that was asked for? 1 or 0, whatever it says.

    compute_score("format", "<think>6 * 7</think> <answer>42</answer>", "")  # {"score": 1.0}
    json_schema("json", '{"age": 3}', "", {"json_schema": {"required": ["age"]}})
    # {"score": 1.0, "parsed": 1.0}

Meant as a gate or as a small part beside a rule that judges the content: form alone is easy to
earn. Left out: repairing JSON that is almost right.
"""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rewards.part import Failure
from rewards.rules.said import said

LONGEST = 100_000  # characters of JSON
_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\n(.*?)```", re.DOTALL)


def _is_ordered(text: str, tags: Sequence[str], opened: bool) -> bool:
    at = 0
    for index, tag in enumerate(tags):
        text_from = text[at:].lstrip()
        head = "" if opened and index == 0 else f"<{tag}>"
        body, closed, rest = text_from.removeprefix(head).partition(f"</{tag}>")
        if not text_from.startswith(head) or not closed or not body.strip():
            return False
        at = len(text) - len(rest)
    return not text[at:].strip()


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any = "",
    extra_info: dict[str, Any] | None = None,
    *,
    tags: Sequence[str] = ("think", "answer"),
    opened: bool = False,
) -> dict[str, float]:
    """score: 1.0 when every tag stands once, in order, not empty, with nothing outside of them.

    opened: the prompt already ends in the first tag, as some chat templates have it.
    """
    counts = {name: solution_str.count(name) for tag in tags for name in (f"<{tag}>", f"</{tag}>")}
    if opened and tags:
        counts[f"<{tags[0]}>"] += 1
    once = all(count == 1 for count in counts.values())
    return {"score": float(once and _is_ordered(solution_str, tags, opened))}


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    """Raises Failure: a schema that is none is the data's fault."""
    import jsonschema
    import referencing

    try:
        parsed = json.loads(schema)
        kind = jsonschema.validators.validator_for(parsed)
        kind.check_schema(parsed)
    except (ValueError, TypeError, jsonschema.SchemaError) as error:
        first = str(error).partition("\n")[0]
        raise Failure("bad_schema", f"not a JSON schema: {first}") from None
    return kind(parsed, registry=referencing.Registry())  # a $ref to the network is not followed


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _parsed(text: str) -> tuple[bool, Any]:
    """The whole text, or else its last fenced block, as JSON."""
    fenced = _FENCE.findall(text[-LONGEST:])
    for piece in (text, *fenced[-1:]):
        try:
            if len(piece) <= LONGEST:
                return True, json.loads(piece, parse_constant=_constant)
        except (ValueError, RecursionError):
            continue
    return False, None


def _is_valid(validator: Any, value: Any) -> bool:
    from referencing.exceptions import Unresolvable

    try:
        return bool(validator.is_valid(value))
    except RecursionError:
        return False
    except Unresolvable as error:
        raise Failure(
            "bad_schema", f"the JSON schema has a $ref that leads nowhere: {error}"
        ) from None


def json_schema(
    data_source: str,
    solution_str: str,
    ground_truth: Any = "",
    extra_info: dict[str, Any] | None = None,
    *,
    schema: dict[str, Any] | str | None = None,
) -> dict[str, float]:
    """score: 1.0 when what the response says, or its last fenced block, is valid under the schema.

    parsed: 1.0 when it is JSON at all. The schema is the option, or extra_info["json_schema"], as a
    dict or as text. Raises Failure where there is none.
    """
    given = (extra_info or {}).get("json_schema", schema)
    if given is None:
        raise Failure(
            "no_schema", "a json row needs extra_info['json_schema'], or an option schema"
        )
    validator = _validator(given if isinstance(given, str) else json.dumps(given, sort_keys=True))
    is_json, value = _parsed(said(solution_str).text)
    return {"score": float(is_json and _is_valid(validator, value)), "parsed": float(is_json)}
