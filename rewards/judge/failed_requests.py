"""What a failed request means for the run: try again, give this row up, or stop.

    trouble = read_error(error, endpoint)    # of the SDKs openai and anthropic, or a timeout
    trouble.kind, trouble.words, trouble.wait_s
    # "transient", "429 from qwen-plus at dashscope.aliyuncs.com: Requests rate limit ...", 2.0

Providers echo keys in their errors, and openai's exceptions do not pickle: nothing of the error
itself goes on, only its words, with the key blotted out.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from rewards.judge.endpoint import NO_KEY, Endpoint
from rewards.judge.inner_errors import inner_error

Kind = Literal["transient", "fatal", "refused", "too_long", "rejected"]
LONGEST = 300  # characters of a provider's words that are worth showing
MAX_WAIT_S = 60.0  # limits are per minute; who asks for more is asked again after a minute
TRANSIENT = {408, 409, 425, 429}
FATAL = {401, 402, 403, 404}
BUSY = {429, 503, 529}  # the server says that it is too much for it, whoever asks

_FATAL_CODES = {
    *("arrearage", "enforced_spend_limit_reached", "billing_error", "billing_not_active"),
    *("billing_hard_limit_reached", "allocationquota.freetieronly", "api_key_invalid"),
    *("invalid_api_key", "invalidapikey", "model_not_found", "access_terminated"),
}
_FATAL_WORDS = re.compile(
    r"credit balance is too low|api key not valid|"
    r"\blimit: 0(?![.\d])",  # Gemini: no quota at all for this model, yet "retry in 45 s"
    re.IGNORECASE,
)
_REFUSED_CODES = {
    *("data_inspection_failed", "datainspectionfailed", "content_filter"),
    *("content_policy_violation", "responsibleaipolicyviolation"),
}
_TOO_LONG_CODES = {"context_length_exceeded", "request_too_large", "string_above_max_length"}
_TOO_LONG_WORDS = re.compile(
    r"maximum context length|context length|prompt is too long|range of input length|"
    r"input token count|maximum number of tokens",
    re.IGNORECASE,
)
_READ = 2000  # characters of a message that are searched
_CODE_FIELDS = ("code", "type", "status", "reason", "error_code", "quotaId")
_KEY_LIKE = re.compile(r"\b(?:sk-|AIza|Bearer\s+)[\w*.\-]{6,}")


class Trouble(Exception):
    """One request that brought no answer.

    kind: "rejected" is a 4xx of no known meaning: the request as such is wrong, or this row in it.
    wait_s: what the server asked for. busy: it asks all callers to slow down.
    billed: it may have worked on it, and charge for it, though nothing usable arrived.
    """

    def __init__(
        self,
        kind: Kind,
        words: str,
        wait_s: float | None = None,
        busy: bool = False,
        billed: bool = False,
    ) -> None:
        super().__init__(kind, words)
        self.kind, self.words, self.wait_s = kind, words, wait_s
        self.busy, self.billed = busy, billed


def redact(text: str, key: str) -> str:
    """Without the key, and without what looks like one: providers echo half-masked keys, too."""
    if key != NO_KEY:
        text = text.replace(key, "***")
    return _KEY_LIKE.sub("***", text)


def _error_of(body: Any) -> dict[str, Any]:
    """The error in a body: {"error": {...}}, Gemini's [{"error": {...}}], or bare."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return {}
    inner = body.get("error", body)
    return inner if isinstance(inner, dict) else {"message": str(inner)}


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from _dicts(item)


def _codes(error: dict[str, Any]) -> set[str]:
    """Names of the error, wherever its provider puts them; never words of its message."""
    found = (part.get(field) for part in _dicts(error) for field in _CODE_FIELDS)
    return {code.lower() for code in found if isinstance(code, str)}


def _message(error: dict[str, Any], raw: Any) -> str:
    for field in ("message", "detail", "msg"):
        if value := error.get(field):
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return raw if isinstance(raw, str) else json.dumps(error, ensure_ascii=False) if error else ""


def _number(text: Any, unit: float = 1.0) -> float | None:
    try:
        return float(str(text).removesuffix("s")) * unit
    except ValueError:
        return None


def _seconds_until(text: str) -> float | None:
    try:
        return (parsedate_to_datetime(text) - datetime.now(timezone.utc)).total_seconds()
    except (TypeError, ValueError):
        return None


def _wait_s(headers: Any, error: dict[str, Any]) -> float | None:
    """What the server asks for, in its headers or (Gemini) in its body, in [0, MAX_WAIT_S]."""
    after = headers.get("retry-after", "")
    delays = [part["retryDelay"] for part in _dicts(error) if "retryDelay" in part]
    asked = (
        _number(headers.get("retry-after-ms", ""), 0.001),
        _number(after),
        _seconds_until(after),
        _number(delays[0]) if delays else None,
    )
    found = next((seconds for seconds in asked if seconds is not None), None)
    return None if found is None or found != found else min(max(found, 0.0), MAX_WAIT_S)


def _kind(status: int, error: dict[str, Any], endpoint: Endpoint) -> Kind:
    codes = _codes(error)
    message = str(error.get("message", ""))[:_READ]  # not `detail`, where servers echo the input
    if codes & _REFUSED_CODES:
        return "refused"
    spent = "insufficient_quota" in codes and endpoint.provider.quota_is_final
    daily = any("perday" in code for code in codes)  # Gemini's name of a quota that ends the day
    if spent or daily or codes & _FATAL_CODES or _FATAL_WORDS.search(message):
        return "fatal"
    if status == 413 or codes & _TOO_LONG_CODES or _TOO_LONG_WORDS.search(message):
        return "too_long" if status < 500 and status != 429 else "transient"
    if status in TRANSIENT or status >= 500:
        return "transient"
    return "fatal" if status in FATAL else "rejected"


def _hint(status: int, endpoint: Endpoint) -> str:
    if status == 404 and endpoint.own and not endpoint.base_url.endswith("/v1"):
        return " (does the address lack a /v1?)"
    if status != 401:
        return ""
    names = " or ".join(endpoint.provider.keys)
    if endpoint.key == NO_KEY:
        return f" (no key was sent: export {endpoint.provider.keys[0]}=...)"
    region = "; a key is bound to its region: --rm_region" if endpoint.provider.regions else ""
    return f" (check {names}{region})"


def _shown(text: str, key: str) -> str:
    return " ".join(redact(text, key).split())[:LONGEST]


def _elsewhere(status: int, headers: Any, endpoint: Endpoint) -> Trouble:
    to = _shown(headers.get("location", "").split("?")[0], endpoint.key) or "another address"
    said = f"{status} from {endpoint.shown}: it sends on to {to}, and nothing goes there unasked"
    return Trouble("fatal", f"{said}. If it is yours, name it: --rm_base_url ADDRESS")


def _of_status(status: int, raw: Any, headers: Any, endpoint: Endpoint) -> Trouble:
    inner = _error_of(raw)
    message = _shown(_message(inner, raw), endpoint.key) or "no message"
    kind = _kind(status, inner, endpoint)
    words = f"{status} from {endpoint.shown}: {message}{_hint(status, endpoint)}"
    wait_s = _wait_s(headers, inner)
    return Trouble(kind, words, wait_s, busy=status in BUSY)


def read_error(error: Any, endpoint: Endpoint) -> Trouble:
    """Duck-typed over both SDKs: errors with a status have status_code, body and response."""
    if hasattr(error, "status_code"):
        status, headers = int(error.status_code), error.response.headers
        if 300 <= status < 400:
            return _elsewhere(status, headers, endpoint)
        return _of_status(status, error.body, headers, endpoint)
    cause = error.__cause__ or error
    said = _shown(str(cause), endpoint.key) or type(cause).__name__
    return Trouble("transient", f"no answer from {endpoint.shown}: {said}")


def read_inner(data: Any, endpoint: Endpoint) -> Trouble | None:
    """Of an answer with status 200 that is an error all the same; None where it is none."""
    if (found := inner_error(data)) is None:
        return None
    trouble = _of_status(found.status, {"error": found.error}, {}, endpoint)
    trouble.billed = found.begun
    return trouble
