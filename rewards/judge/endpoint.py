"""Where one run's judge is: its address and its key, from the spec and the environment.

    endpoint = find_endpoint(spec, os.environ)
    endpoint.base_url    # "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"

The address: spec.base_url, else spec.region, else the provider's variables, else its own default.
A server of one's own (vLLM, a proxy) is provider openai with a base_url; it may do without a key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from rewards.judge.providers import PROVIDERS, Provider
from rewards.judge.proxies import refuse
from rewards.part import CannotStart
from rewards.spec import JudgeSpec

# Templates name it differently (Qwen and GLM; DeepSeek and Granite) and pass over the other name.
QUIET_TEMPLATE = {"enable_thinking": False, "thinking": False}
SDK_OF = {"chat": "openai", "messages": "claude"}  # protocol -> whose SDK speaks it
HEADERS_OF = {"openai": "OPENAI_CUSTOM_HEADERS", "claude": "ANTHROPIC_CUSTOM_HEADERS"}
NO_KEY = "none"  # SDKs insist on one; a local server does not look at it


@dataclass(frozen=True)
class Endpoint:
    """Where one run's judge is. own: on a host that is not the provider's, such as localhost."""

    provider: Provider
    model: str
    base_url: str
    key: str = field(repr=False)
    own: bool = False
    notes: tuple[str, ...] = ()
    headers: bool = False  # whether those that the environment adds go along
    thinking: bool | None = None  # False: switched off where a template can be told so

    @property
    def token_field(self) -> str:
        """Every server that speaks OpenAI's protocol knows max_tokens, not all the newer name."""
        return "max_tokens" if self.own else self.provider.token_field

    @property
    def quiet(self) -> dict[str, Any]:
        """The fields that turn this model's thinking off; none for a server we know nothing of,
        unless its user has said that they are for it."""
        if self.own and self.provider.name == "openai":
            return {} if self.thinking is None else {"chat_template_kwargs": dict(QUIET_TEMPLATE)}
        known = self.provider.quiet
        fields = (fields for pattern, fields in known.items() if fnmatchcase(self.model, pattern))
        return dict(next(fields, {}))

    @property
    def shown(self) -> str:
        """For messages: `qwen-plus at dashscope-intl.aliyuncs.com`, without a URL's password."""
        parts = urlsplit(self.base_url)
        port = f":{parts.port}" if parts.port else ""
        return f"{self.model} at {parts.hostname}{port}"


def _base_url(provider: Provider, spec: JudgeSpec, environ: Mapping[str, str]) -> str:
    if spec.base_url:
        return spec.base_url
    if spec.region:
        return provider.regions[spec.region]
    for variable in provider.addresses:
        if value := environ.get(variable, "").strip():
            return value
    # what DashScope's own SDK reads is the address of another protocol on the same host
    if provider.regions and (value := environ.get("DASHSCOPE_HTTP_BASE_URL", "").strip()):
        return value.rstrip("/").removesuffix("/api/v1") + "/compatible-mode/v1"
    return provider.base_url


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise CannotStart(
            "the judge's address is no URL; it looks like http://127.0.0.1:8000/v1 (--rm_base_url)"
        )
    return url.rstrip("/")


def _is_own(provider: Provider, url: str) -> bool:
    theirs = {urlsplit(known).hostname for known in (provider.base_url, *provider.regions.values())}
    return urlsplit(url).hostname not in theirs


def _key(provider: Provider, environ: Mapping[str, str], own: bool) -> tuple[str, tuple[str, ...]]:
    """The key, and a note when two variables hold different ones."""
    found = {name: value for name in provider.keys if (value := environ.get(name, "").strip())}
    if not found and own and provider.name == "openai":
        return NO_KEY, ()
    if not found:
        names = " or ".join(provider.keys)
        raise CannotStart(
            f"a judge of {provider.name} needs a key and {names} is not set; "
            f"set it: export {provider.keys[0]}=..."
        )
    name, key = next(iter(found.items()))
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CannotStart(f"{name} holds characters that no key has; set it again")
    if len(set(found.values())) > 1:
        return key, (f"{' and '.join(found)} hold different keys; {name} is used",)
    return key, ()


def _server(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _headers(
    provider: Provider, url: str, environ: Mapping[str, str]
) -> tuple[bool, tuple[str, ...]]:
    """Whether the SDK's headers of the environment are this server's to see, and a note on them.

    They are for whom the SDK is made for, and may hold a key of a gateway.
    """
    owner = PROVIDERS[SDK_OF[provider.protocol]]
    variable = HEADERS_OF[owner.name]
    lines = [line.partition(":") for line in environ.get(variable, "").split("\n")]
    names = {name.strip().lower() for name, colon, _ in lines if colon}
    if not names:
        return False, ()
    addresses = (environ.get(name, "").strip() for name in owner.addresses)
    if _server(url) not in map(_server, filter(None, (owner.base_url, *addresses))):
        return False, (f"{variable} is not sent to {urlsplit(url).hostname}",)
    over = sorted(names & {"authorization", "x-api-key"})
    key = f"{variable} replaces {' and '.join(over)}, so the judge's own key does not count there"
    return True, (key,) if over else ()


def find_endpoint(spec: JudgeSpec, environ: Mapping[str, str]) -> Endpoint:
    """Raises CannotStart with a sentence that names what is missing."""
    provider = PROVIDERS[spec.provider]
    url = _checked_url(_base_url(provider, spec, environ))
    own = _is_own(provider, url)
    key, notes = _key(provider, environ, own)
    headers, said = _headers(provider, url, environ)
    refuse(environ)
    notes = (*notes, *said)
    return Endpoint(provider, spec.model, url, key, own, notes, headers, spec.thinking)
