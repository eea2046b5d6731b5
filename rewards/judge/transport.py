"""One request over the provider's own SDK: a body goes out, decoded JSON or a Trouble comes back.

    transport = Transport(endpoint, timeout_s=60)
    data = await transport.post("/chat/completions", {"model": ..., "messages": ...})

Bodies go through the SDKs' plain `post`: it sends just what it is given, whatever the release, and
costs a third less time than the typed methods. Left out on purpose: retries (client.py).
"""

import asyncio
import json
import logging
from typing import Any

from rewards.judge.endpoint import Endpoint
from rewards.judge.failed_requests import Trouble, read_error
from rewards.judge.protocols import UnreadableReply

_HTTP_LOGGERS = ("httpx", "httpx2")  # each announces every request at INFO


def _open_chat(endpoint: Endpoint, timeout_s: float) -> tuple[Any, type[Exception]]:
    import openai

    sdk = openai.AsyncOpenAI(
        api_key=endpoint.key, base_url=endpoint.base_url, timeout=timeout_s, max_retries=0
    )
    if endpoint.own or endpoint.provider.name != "openai":
        sdk.organization = sdk.project = None  # read from the environment, and nobody else's to see
    return sdk, openai.OpenAIError


def _open_messages(endpoint: Endpoint, timeout_s: float) -> tuple[Any, type[Exception]]:
    import anthropic

    base_url = endpoint.base_url.removesuffix("/v1")  # the SDK's paths begin with it
    sdk = anthropic.AsyncAnthropic(
        api_key=endpoint.key, base_url=base_url, timeout=timeout_s, max_retries=0
    )
    return sdk, anthropic.AnthropicError


_OPEN = {"chat": _open_chat, "messages": _open_messages}


def _quiet_logs() -> None:
    for name in _HTTP_LOGGERS:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)


class Transport:
    """Made without an SDK, which takes a second to import; opened by the first request."""

    def __init__(self, endpoint: Endpoint, timeout_s: float) -> None:
        self._endpoint, self._timeout_s = endpoint, timeout_s
        self._sdk: Any = None
        self._sdk_error: type[Exception] = Exception

    def open(self) -> None:
        """Before a request's turn comes: the import would make all behind it late."""
        if self._sdk is not None:
            return
        _quiet_logs()
        opened = _OPEN[self._endpoint.provider.protocol]
        self._sdk, self._sdk_error = opened(self._endpoint, self._timeout_s)
        # Elsewhere, headers and prompts would go to a host that nobody named.
        self._sdk._client.follow_redirects = False
        if not self._endpoint.headers:
            self._sdk._custom_headers = {}  # of OPENAI_CUSTOM_HEADERS, or ANTHROPIC_CUSTOM_HEADERS

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Raises Trouble, and UnreadableReply for what is not JSON. The timeout is of the whole."""
        self.open()
        try:
            text = await asyncio.wait_for(
                self._sdk.post(path, body=body, cast_to=str), self._timeout_s
            )
        except asyncio.TimeoutError:
            trouble = self._late()
        except self._sdk_error as error:
            late = "Timeout" in type(error).__name__
            trouble = self._late() if late else read_error(error, self._endpoint)
        else:
            return self._decoded(text)
        raise trouble from None

    def _late(self) -> Trouble:
        shown = f"no answer from {self._endpoint.shown} within {self._timeout_s:g} s"
        return Trouble("transient", shown, billed=True)

    def _decoded(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise UnreadableReply(f"the answer is no JSON ({len(text)} characters)") from None

    async def close(self) -> None:
        sdk, self._sdk = self._sdk, None
        if sdk is not None:
            await sdk.close()
