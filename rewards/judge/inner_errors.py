"""An error that comes with status 200, as gateways send it once the headers are out.

    found = inner_error({"error": {"code": 402, "message": "Insufficient credits"}})
    found.status, found.error["message"]    # 402, "Insufficient credits"
    inner_error({"choices": [{"message": {"content": "{...}"}}]})    # None

Its number counts as the status would have; without one its name does ("rate_limit_exceeded").
What names neither counts as a 500, so that it is tried again.
"""

import re
from dataclasses import dataclass
from typing import Any

UNKNOWN = 500
_NUMBERS = (
    *("code", "status", "status_code", "statusCode", "http_status", "http_code", "error_code"),
)
_NAMES = ("type", "code", "status", "error_type", "reason", "error_code")
_WORDS = ("message", "msg", "detail", "status_msg", "error_msg", "error_message", "errmsg")
_INNER = ("error", "errors", "base_resp", "base_response")
_STATUS_OF = (  # the first whose words stand in the error's name, or in its message
    (401, "authentication|unauthori[sz]ed|unauthenticated|invalid.?api.?key"),
    (402, "payment.?required|billing|insufficient.?(balance|credit|fund)|arrearage"),
    (429, "rate.?limit|too.?many.?request|throttl|resource.?exhausted|quota"),
    (403, "permission|forbidden|access.?denied"),
    (404, "not.?found"),
    (529, "overloaded"),
    (503, "unavailable|no.?available|busy"),
    (408, "time.?out|timed.?out"),
    (400, "invalid.?request|bad.?request|invalid.?argument|invalid.?parameter"),
)


@dataclass(frozen=True)
class InnerError:
    """error: what the server says of it. begun: it came in the midst of an answer."""

    status: int
    error: dict[str, Any]
    begun: bool = False


def _as_dict(error: Any) -> dict[str, Any]:
    if isinstance(error, list) and error:
        error = error[0]
    if not isinstance(error, dict):
        return {"message": str(error)}
    return {name: value for name, value in error.items() if value is not None}


def _stated(data: dict[str, Any]) -> tuple[dict[str, Any], bool] | None:
    """The error, and whether an answer had begun; None when there is no word of one."""
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict) and choice.get("error"):
        return _as_dict(choice["error"]), True
    has_answer = bool(choice) or isinstance(data.get("content"), list)
    for name in _INNER:
        if (found := data.get(name)) and not _is_success(found):
            beside = {key: data[key] for key in (*_NUMBERS, *_NAMES) if key in data}
            return {**beside, **_as_dict(found)}, has_answer
    says = any(isinstance(data.get(name), str) for name in _WORDS)
    return (data, False) if says and not has_answer else None


def _is_success(found: Any) -> bool:
    """MiniMax tells {"status_code": 0, "status_msg": "success"} beside every answer."""
    numbers = [found[name] for name in _NUMBERS if name in found] if isinstance(found, dict) else []
    return bool(numbers) and all(str(number) in ("0", "200") for number in numbers)


def _said(error: dict[str, Any]) -> str:
    return next((str(error[name]) for name in _WORDS if error.get(name)), "")


def _named(text: str) -> int | None:
    found = (status for status, words in _STATUS_OF if re.search(words, text, re.IGNORECASE))
    return next(found, None)


def _status(error: dict[str, Any]) -> int:
    numbers = [str(error.get(name, "")) for name in _NUMBERS]
    if number := next((text for text in numbers if re.fullmatch(r"[45]\d\d", text)), None):
        return int(number)
    names = " ".join(str(error.get(name, "")) for name in _NAMES)
    return _named(names) or _named(_said(error)) or UNKNOWN


def inner_error(data: Any) -> InnerError | None:
    """data: the decoded body of an answer with status 200."""
    if isinstance(data, list) and data:  # Gemini's errors stand in a list
        data = data[0]
    if not isinstance(data, dict) or (stated := _stated(data)) is None:
        return None
    error, begun = stated
    words = {"message": _said(error)} if _said(error) else {}
    return InnerError(_status(error), {**error, **words}, begun)
