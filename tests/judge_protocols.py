"""What each provider of judges accepts and answers over HTTP, for the servers of the tests.

    style = STYLES["claude"]
    style.refusal(headers, body, key)    # Fault(400, ...) when the provider would not have it so
    style.answer("model", '{"score": 7}', "stop")

Written from the providers' documentation, and strict: a field that a provider does not know, or an
authorisation that is another's, is an error here too.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Body = dict[str, Any]
_RPC = "type.googleapis.com/google.rpc."
CLAUDE_TYPES = {
    **{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error"},
    **{404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"},
    **{500: "api_error", 529: "overloaded_error"},
}
TOKENS = {"input": 40, "output": 12}  # what every answer is said to have cost


@dataclass(frozen=True)
class Fault:
    """What a request gets instead of a verdict.

    status other than 200: an error in the provider's form. how: "truncated" cuts the JSON,
    "cut" the transfer, "reset" the connection, "hang" never answers. text: what the judge says.
    body: the whole answer with status 200, as it is.
    """

    status: int = 200
    code: str = ""
    message: str = "made up for a test"
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_delay: str | None = None  # Gemini's, in the body
    delay_s: float = 0.0
    text: str | None = None
    finish: str = "stop"
    how: str = "answer"
    body: Any = None


def _wrong_schema(schema: Any, closed: bool) -> str | None:
    """What a provider of strict structured output would say against the schema."""
    for part in _objects(schema):
        if closed and part.get("additionalProperties") is not False:
            return "'additionalProperties' is required to be supplied and to be false."
        if not closed and "additionalProperties" in part:
            return 'Unknown name "additionalProperties"'
        if closed and set(part.get("required", ())) != set(part["properties"]):
            return "'required' is required to include every key in properties."
    if re.search(r'"(minimum|maximum)"', json.dumps(schema)):
        return "'minimum' is not permitted."
    return None


def _objects(schema: Any) -> list[Body]:
    if not isinstance(schema, dict):
        return []
    inner = [part for value in schema.get("properties", {}).values() for part in _objects(value)]
    return [schema, *inner] if schema.get("type") == "object" else inner


class Chat:
    """OpenAI itself; the others differ in what they refuse and how they say so."""

    name = "openai"
    path = "/v1/chat/completions"
    closed_schema = True
    fields = frozenset(
        {
            *("model", "messages", "max_completion_tokens", "max_tokens", "response_format"),
            *("reasoning_effort", "temperature", "top_p", "n", "seed", "stop", "stream"),
        }
    )

    def is_authorised(self, headers: Mapping[str, str], key: str) -> bool:
        return headers.get("Authorization") == f"Bearer {key}"

    def bad_key(self, shown: str) -> Fault:
        return Fault(401, "invalid_api_key", f"Incorrect API key provided: {shown}.")

    def unknown_field(self, name: str) -> Fault:
        return Fault(400, "unknown_parameter", f"Unrecognized request argument supplied: {name}")

    def refusal(self, headers: Mapping[str, str], body: Body, key: str) -> Fault | None:
        if not self.is_authorised(headers, key):
            return self.bad_key(headers.get("Authorization", "").removeprefix("Bearer "))
        for name in sorted(body.keys() - self.fields):
            return self.unknown_field(name)
        for name in sorted({"model", "messages"} - body.keys()):
            return Fault(400, "missing_required_parameter", f"Missing required parameter: '{name}'")
        return self._wrong_messages(body) or self._wrong_format(body) or self.wrong(body)

    def wrong(self, body: Body) -> Fault | None:
        thinks = re.match(r"gpt-[56]|o\d", body["model"])
        if thinks and "max_tokens" in body:
            return Fault(
                400,
                "unsupported_parameter",
                "Unsupported parameter: 'max_tokens' is not supported with this model. "
                "Use 'max_completion_tokens' instead.",
            )
        if not thinks and "reasoning_effort" in body:
            return self.unknown_field("reasoning_effort")
        return None

    def _wrong_messages(self, body: Body) -> Fault | None:
        for message in body["messages"]:
            fine = message.keys() == {"role", "content"} and isinstance(message["content"], str)
            if not fine or message["role"] not in ("system", "user", "assistant"):
                return Fault(400, "invalid_value", "Invalid value: 'messages'")
        return None if body["messages"] else Fault(400, "invalid_value", "'messages' is empty")

    def _wrong_format(self, body: Body) -> Fault | None:
        given = body.get("response_format", {"type": "text"})
        if given["type"] == "json_object" and "json" not in json.dumps(body["messages"]).lower():
            words = "'messages' must contain the word 'json' in some form"
            return Fault(400, "invalid_parameter_error", words)
        if given["type"] != "json_schema":
            return None
        said = _wrong_schema(given["json_schema"]["schema"], self.closed_schema)
        said = said or (None if given["json_schema"].get("name") else "Missing 'name'")
        return Fault(400, "invalid_json_schema", f"response_format: {said}") if said else None

    def error(self, fault: Fault) -> Any:
        kind = "insufficient_quota" if fault.code == "insufficient_quota" else "api_error"
        inner = {"message": fault.message, "type": kind, "param": None, "code": fault.code or None}
        return {"error": inner}

    def answer(self, model: str, text: str, finish: str) -> Any:
        message: Body = {"role": "assistant", "content": text, "refusal": None}
        if finish == "refusal":
            message, finish = {**message, "content": None, "refusal": text}, "stop"
        usage = {"prompt_tokens": TOKENS["input"], "completion_tokens": TOKENS["output"]}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }


class Local(Chat):
    """A server of one's own, such as vLLM, with a model of any name."""

    name = "local"

    def wrong(self, body: Body) -> Fault | None:
        return None


class DashScope(Chat):
    name = "dashscope"
    path = "/compatible-mode/v1/chat/completions"
    fields = Chat.fields | {"enable_thinking", "thinking_budget", "top_k"}

    def bad_key(self, shown: str) -> Fault:
        return Fault(401, "invalid_api_key", f"Incorrect API key provided: {shown}")

    def wrong(self, body: Body) -> Fault | None:
        thinking = body.get("enable_thinking")
        if "thinking" in body["model"] and thinking is False:
            words = "The value of the enable_thinking parameter is restricted to True."
            return Fault(400, "invalid_parameter_error", words)
        is_json = body.get("response_format", {}).get("type") == "json_object"
        if is_json and ("thinking" in body["model"] or thinking is not False):
            words = "Json mode response is not supported when enable_thinking is true"
            return Fault(400, "invalid_parameter_error", words)
        return None

    def error(self, fault: Fault) -> Any:
        return {**super().error(fault), "request_id": "d8f1"}


class Gemini(Chat):
    name = "gemini"
    path = "/v1beta/openai/chat/completions"
    closed_schema = False
    fields = Chat.fields - {"seed"}

    def bad_key(self, shown: str) -> Fault:
        return Fault(400, "API_KEY_INVALID", "API key not valid. Please pass a valid API key.")

    def unknown_field(self, name: str) -> Fault:
        words = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
        return Fault(400, "INVALID_ARGUMENT", words)

    def wrong(self, body: Body) -> Fault | None:
        return None

    def error(self, fault: Fault) -> Any:
        details: list[Body] = []
        if fault.code == "API_KEY_INVALID":
            details.append({"@type": f"{_RPC}ErrorInfo", "reason": fault.code})
        if "PerDay" in fault.code:
            violation = {"quotaId": fault.code, "quotaValue": "50"}
            details.append({"@type": f"{_RPC}QuotaFailure", "violations": [violation]})
        if fault.retry_delay:
            details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": fault.retry_delay})
        status = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}
        inner = {"code": fault.status, "message": fault.message, "details": details}
        return [{"error": {**inner, "status": status.get(fault.status, "INTERNAL")}}]


class Claude:
    name = "claude"
    path = "/v1/messages"
    fields = frozenset(
        {
            *("model", "max_tokens", "messages", "system", "output_config", "stop_sequences"),
            *("stream", "metadata", "thinking", "tools", "tool_choice", "service_tier"),
        }
    )

    def refusal(self, headers: Mapping[str, str], body: Body, key: str) -> Fault | None:
        given = headers.get("x-api-key") or headers.get("Authorization", "").removeprefix("Bearer ")
        if given != key:
            return Fault(401, message="invalid x-api-key")
        if "anthropic-version" not in headers:
            return Fault(400, message="anthropic-version: header is required")
        for name in sorted(body.keys() - self.fields):
            return Fault(400, message=f"{name}: Extra inputs are not permitted")
        for name in ("model", "max_tokens", "messages"):
            if name not in body:
                return Fault(400, message=f"{name}: Field required")
        said = self._wrong_messages(body) or self._wrong_format(body)
        return Fault(400, message=said) if said else None

    def _wrong_messages(self, body: Body) -> str | None:
        if not body["messages"] or body["messages"][0]["role"] != "user":
            return "messages: first message must use the user role"
        if any(not message["content"] for message in body["messages"]):
            return "messages: all messages must have non-empty content"
        return None if body.get("system", "x") else "system: text content blocks must be non-empty"

    def _wrong_format(self, body: Body) -> str | None:
        given = body.get("output_config", {}).get("format")
        if given is None:
            return None
        if given.keys() != {"type", "schema"} or given["type"] != "json_schema":
            return "output_config.format: Input should be 'json_schema'"
        return _wrong_schema(given["schema"], closed=True)

    def error(self, fault: Fault) -> Any:
        inner: Body = {"type": CLAUDE_TYPES.get(fault.status, "api_error")}
        details = {"details": {"error_code": fault.code}} if fault.code else {}
        inner = {**inner, "message": fault.message, **details}
        return {"type": "error", "error": inner, "request_id": "req_1"}

    def answer(self, model: str, text: str, finish: str) -> Any:
        reasons = {"stop": "end_turn", "length": "max_tokens"}
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [{"type": "text", "text": text}],
            "stop_reason": reasons.get(finish, finish),
            "usage": {"input_tokens": TOKENS["input"], "output_tokens": TOKENS["output"]},
        }


STYLES: dict[str, Any] = {
    style.name: style for style in (Chat(), Local(), DashScope(), Gemini(), Claude())
}
