"""Who can judge, and every way in which one differs from another: one table, PROVIDERS.

    PROVIDERS["claude"].keys    # ("ANTHROPIC_API_KEY", "CLAUDE_API_KEY")

Left out on purpose: sampling parameters. Some models refuse them, and a judge needs none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

_DASHSCOPE = "https://{}.aliyuncs.com/compatible-mode/v1"


@dataclass(frozen=True)
class Provider:
    """keys, addresses: environment variables, the first that is set counts.

    structured: how it is told to answer in JSON. closed_schema: whether every object of a schema
    must forbid further properties; else that word is left out, as some refuse it.
    quiet: pattern of models -> fields that turn thinking off, which eats the answer's tokens.
    quota_is_final: whether "insufficient_quota" means an empty purse; at DashScope it is the
    limit of tokens per minute, and at Gemini that of requests.
    """

    name: str
    protocol: Literal["chat", "messages"]
    keys: tuple[str, ...]
    base_url: str
    addresses: tuple[str, ...] = ()
    regions: Mapping[str, str] = field(default_factory=dict)
    structured: Literal["json_schema", "json_object", "output_config"] = "json_schema"
    closed_schema: bool = True
    token_field: str = "max_tokens"
    quiet: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    quota_is_final: bool = True


PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider(
            name="dashscope",
            protocol="chat",
            keys=("DASHSCOPE_API_KEY",),
            base_url=_DASHSCOPE.format("dashscope"),
            addresses=("DASHSCOPE_BASE_URL", "DASHSCOPE_API_BASE"),
            regions={
                "cn": _DASHSCOPE.format("dashscope"),
                "intl": _DASHSCOPE.format("dashscope-intl"),
                "us": _DASHSCOPE.format("dashscope-us"),
                "hk": _DASHSCOPE.format("cn-hongkong.dashscope"),
            },
            structured="json_object",  # nearly all Qwen models know it, and only without thinking
            quiet={"*": {"enable_thinking": False}},
            quota_is_final=False,
        ),
        Provider(
            name="openai",
            protocol="chat",
            keys=("OPENAI_API_KEY",),
            base_url="https://api.openai.com/v1",
            addresses=("OPENAI_BASE_URL",),
            token_field="max_completion_tokens",  # newer models refuse max_tokens
            quiet={
                pattern: {"reasoning_effort": "none"}  # astra and 6.1-sol always think
                for pattern in ("gpt-6-luna*", "gpt-6-sol*", "gpt-6.1-terra*", "gpt-5.6*")
            },
        ),
        Provider(
            name="gemini",
            protocol="chat",
            keys=("GOOGLE_API_KEY", "GEMINI_API_KEY"),  # Google's own SDK prefers the first
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            closed_schema=False,
            quiet={
                pattern: {"reasoning_effort": "low"}  # the lowest that all of them know
                for pattern in ("gemini-2.5*", "gemini-3*")
            },
            quota_is_final=False,
        ),
        Provider(
            name="claude",
            protocol="messages",
            keys=("ANTHROPIC_API_KEY", "CLAUDE_API_KEY"),
            base_url="https://api.anthropic.com",
            addresses=("ANTHROPIC_BASE_URL",),
            structured="output_config",
        ),
    )
}
