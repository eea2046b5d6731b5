"""The two ways to ask over HTTP: OpenAI's chat completions and Anthropic's messages.

    protocol = PROTOCOLS["chat"]
    body = protocol.body(endpoint, ask, without=frozenset())    # what POST {url}{path} sends
    protocol.read({"choices": [...], "usage": {...}})     # Answer(text, finish, Tokens(31, 12))

A request holds only what its provider documents: Gemini and Anthropic refuse any other field.
`without` names what this server refused: a "system" role, "structured" output, the "quiet" fields
that turn thinking off, or the usual name of the limit of "tokens".
"""

from collections.abc import Iterable, Mapping
from typing import Any

from rewards.judge.ask import Answer, Ask, Finish
from rewards.judge.costs import Tokens
from rewards.judge.endpoint import Endpoint

Body = dict[str, Any]

# what a 400 says when it means something that we can do without, in the order of its loss
_THOUGHTS = ("reasoning_content", "reasoning")  # of vLLM, SGLang and DeepSeek; OpenRouter, vLLM
_TOKENS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_QUIET = ("reasoning_effort", "enable_thinking", "thinking", "chat_template_kwargs")
# in a template's words ("System role not supported") or a provider's
_SYSTEM = (
    *("system role", "role system", "'system'", '"system"', "`system`", "system message"),
    *("system prompt", "system instruction", "developer instruction", "alternate"),
    *("user and assistant", "only user", "first message"),
)
_STRUCTURED = (
    *("response_format", "output_config", "output_format", "json_schema", "json_object"),
    *("json mode", "schema", "structured", "guided"),
)


class UnreadableReply(Exception):
    """An answer with status 200 that is not what the protocol promises: cut off, or not JSON."""


def _clean(text: str) -> str:
    """Without lone surrogates, which no UTF-8 holds: a model can write them, a request cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _schema(schema: Any, closed: bool) -> Any:
    """The schema with every object closed to further properties, or without a word on that."""
    if isinstance(schema, list):
        return [_schema(item, closed) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: _schema(v, closed) for k, v in schema.items() if k != "additionalProperties"}
    if closed and out.get("type") == "object":
        out["additionalProperties"] = False
        out["required"] = list(out.get("properties", {}))
    return out


def _tokens(usage: Any, output: str, *inputs: str) -> Tokens | None:
    """None when the server does not count them."""
    counts = usage if isinstance(usage, dict) else {}
    read = [counts[name] for name in inputs if isinstance(counts.get(name), int)]
    written = counts.get(output)
    return Tokens(sum(read), written) if read and isinstance(written, int) else None


def _messages(ask: Ask, without: Iterable[str]) -> list[dict[str, str]]:
    """Without a system role its words go in front of the user's: they alternate by themselves."""
    system, user = _clean(ask.system), _clean(ask.user)
    if "system" in without:
        return [{"role": "user", "content": "\n\n".join(filter(None, (system, user)))}]
    roles = (("system", system), ("user", user))
    return [{"role": role, "content": text} for role, text in roles if text]


def _joined(content: Any) -> str:
    """Text as it is, or the text of typed parts."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


class Chat:
    """https://platform.openai.com/docs/api-reference/chat, and all that speak it.

    optional: what `without` may hold -> the words by which a 400 means it.
    """

    path = "/chat/completions"
    optional: Mapping[str, tuple[str, ...]] = {
        "system": _SYSTEM,
        "tokens": tuple(_TOKENS),
        "quiet": _QUIET,
        "structured": _STRUCTURED,
    }

    def _format(self, endpoint: Endpoint, ask: Ask) -> Body:
        if endpoint.provider.structured == "json_object":
            return {"type": "json_object"}
        schema = _schema(ask.schema, endpoint.provider.closed_schema)
        json_schema = {"name": "verdict", "strict": True, "schema": schema}
        return {"type": "json_schema", "json_schema": json_schema}

    def body(self, endpoint: Endpoint, ask: Ask, without: Iterable[str]) -> Body:
        body: Body = {"model": endpoint.model, "messages": _messages(ask, without)}
        limit = endpoint.token_field
        body[_TOKENS[limit] if "tokens" in without else limit] = ask.max_tokens
        if "structured" not in without:
            body["response_format"] = self._format(endpoint, ask)
        return body if "quiet" in without else {**body, **endpoint.quiet}

    def read(self, data: Any) -> Answer:
        try:
            choice = data["choices"][0]
            message = choice["message"]
            said = choice.get("finish_reason") or "stop"
            refusal = message.get("refusal")
        except (LookupError, TypeError, AttributeError):
            raise UnreadableReply("the answer has no choices[0].message") from None
        finish: Finish = "length" if said == "length" else "stop"
        if refusal or str(said).startswith("content_filter"):
            finish = "refusal"
        text = _joined(message.get("content")) or _joined(refusal)
        tokens = _tokens(data.get("usage"), "completion_tokens", "prompt_tokens")
        thoughts = (_joined(message.get(name)) for name in _THOUGHTS)
        return Answer(text, finish, tokens, next(filter(None, thoughts), ""))


class Messages:
    """https://docs.anthropic.com/en/api/messages."""

    path = "/v1/messages"
    optional: Mapping[str, tuple[str, ...]] = {"system": _SYSTEM, "structured": _STRUCTURED}
    _cut = ("max_tokens", "model_context_window_exceeded")
    _input = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")

    def body(self, endpoint: Endpoint, ask: Ask, without: Iterable[str]) -> Body:
        *system, user = _messages(ask, without)
        body: Body = {
            "model": endpoint.model,
            "max_tokens": ask.max_tokens,
            "messages": [user],
        }
        if system:
            body["system"] = system[0]["content"]
        if "structured" not in without:
            schema = _schema(ask.schema, endpoint.provider.closed_schema)
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        return body

    def read(self, data: Any) -> Answer:
        if not isinstance(data, dict) or not isinstance(data.get("content"), list):
            raise UnreadableReply("the answer has no content")
        said = data.get("stop_reason")
        finish: Finish = "length" if said in self._cut else "stop"
        if said == "refusal":
            finish = "refusal"
        tokens = _tokens(data.get("usage"), "output_tokens", *self._input)
        return Answer(_joined(data["content"]), finish, tokens)


PROTOCOLS: dict[str, Chat | Messages] = {"chat": Chat(), "messages": Messages()}
