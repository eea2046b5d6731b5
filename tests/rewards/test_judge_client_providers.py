"""Where a judge is found: addresses, regions, keys, retired models. Mistakes get a sentence."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml

from rewards.judge.client import Client
from rewards.judge.costs import find_price
from rewards.judge.endpoint import Endpoint, find_endpoint
from rewards.judge.providers import PROVIDERS
from rewards.judge.retired import TABLE, model_notes
from rewards.part import CannotStart
from rewards.spec import JudgeSpec
from tests.judge_servers import KEY

KEYS = {name: KEY for provider in PROVIDERS.values() for name in provider.keys}
CN = "https://dashscope.aliyuncs.com/compatible-mode/v1"
INTL = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"


def endpoint(provider: str = "dashscope", environ: dict[str, str] = KEYS, **spec: str) -> Endpoint:
    return find_endpoint(JudgeSpec(provider, "m", "", "", **spec), environ)  # type: ignore[arg-type]


def refusal(environ: dict[str, str] = KEYS, **spec: str) -> str:
    with pytest.raises(CannotStart) as caught:
        endpoint(environ=environ, **spec)
    return str(caught.value)


@pytest.mark.parametrize(
    ("spec", "environ", "url"),
    [
        ({}, {}, CN),
        ({"region": "intl"}, {}, INTL),
        ({"region": "us"}, {}, "https://dashscope-us.aliyuncs.com/compatible-mode/v1"),
        ({"region": "hk"}, {}, "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1"),
        (
            {},
            {"DASHSCOPE_BASE_URL": "https://a/v1/", "DASHSCOPE_API_BASE": "https://b"},
            "https://a/v1",
        ),
        ({}, {"DASHSCOPE_API_BASE": "https://b"}, "https://b"),
        ({}, {"DASHSCOPE_HTTP_BASE_URL": "https://dashscope-intl.aliyuncs.com/api/v1"}, INTL),
        ({"region": "cn"}, {"DASHSCOPE_BASE_URL": "https://a"}, CN),
        ({"base_url": "http://me:8000/v1", "region": "us"}, {}, "http://me:8000/v1"),
    ],
)
def test_dashscopes_address_is_the_flags_then_the_environments_then_beijing(
    spec: dict[str, str], environ: dict[str, str], url: str
) -> None:
    assert endpoint(environ={**KEYS, **environ}, **spec).base_url == url


def test_an_address_of_openai_in_the_environment_is_taken_as_it_is() -> None:
    environ = {**KEYS, "OPENAI_BASE_URL": "https://openrouter.ai/api/v1"}
    assert endpoint("openai", environ).base_url == "https://openrouter.ai/api/v1"


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_a_missing_key_is_named_with_the_way_to_set_it(provider: str) -> None:
    said = refusal(environ={}, provider=provider)
    assert all(name in said for name in PROVIDERS[provider].keys) and "export " in said


@pytest.mark.parametrize("provider", list(PROVIDERS))
def test_every_name_of_a_key_will_do(provider: str) -> None:
    for name in PROVIDERS[provider].keys:
        assert endpoint(provider, {name: f" {KEY}\n"}).key == KEY


def test_two_google_keys_that_differ_are_noted_and_googles_own_choice_is_made() -> None:
    found = endpoint("gemini", {"GEMINI_API_KEY": "one", "GOOGLE_API_KEY": "other"})
    assert found.key == "other"
    assert found.notes == (
        "GOOGLE_API_KEY and GEMINI_API_KEY hold different keys; GOOGLE_API_KEY is used",
    )
    assert endpoint("gemini", {"GEMINI_API_KEY": "k", "GOOGLE_API_KEY": "k"}).notes == ()


@pytest.mark.parametrize("key", ["ключ", "two words", "tab\tin", "sk-\x00"])
def test_a_key_that_no_header_can_hold_is_said_without_showing_it(key: str) -> None:
    said = refusal(environ={"DASHSCOPE_API_KEY": key})
    assert "DASHSCOPE_API_KEY" in said and key not in said


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://a/v1", "http://", "http://a:port/v1"])
def test_an_address_that_is_none_is_said(url: str) -> None:
    assert "http://127.0.0.1:8000/v1" in refusal(base_url=url)


def test_neither_key_nor_a_password_in_an_address_shows() -> None:
    found = endpoint(base_url="http://user:secret@127.0.0.1:9/v1")
    assert KEY not in repr(found) and found.shown == "m at 127.0.0.1:9"


@pytest.mark.parametrize(
    ("provider", "model", "day", "said"),
    [
        ("gemini", "gemini-1.5-flash", "2026-11-20", "was retired in 2025-09"),
        ("claude", "claude-3-haiku-20240307", "2026-11-20", "was retired on 2026-04-20"),
        ("openai", "gpt-4o-mini", "2026-11-20", "will be retired on 2027-01-14"),
        ("openai", "gpt-4o-mini-2024-07-18", "2027-01-14", "was retired on 2027-01-14"),
        ("dashscope", "qwen-max-latest", "2026-11-20", "was retired on 2026-07-13"),
    ],
)
def test_retired_models_are_noted_with_what_replaces_them(
    provider: str, model: str, day: str, said: str
) -> None:
    (note,) = model_notes(provider, model, date.fromisoformat(day))
    assert said in note and "--rm_model " in note


def test_what_replaces_a_retired_model_is_not_retired_and_has_a_price() -> None:
    for provider, models in yaml.safe_load(TABLE.read_text()).items():
        for fact in models.values():
            assert model_notes(provider, fact["use"]) == []
            assert find_price(provider, fact["use"])


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("dashscope", "qwen-plus"),
        ("openai", "gpt-6-luna"),
        ("gemini", "gemini-2.5-flash-lite"),
        ("claude", "claude-haiku-5-5"),
        ("openai", "my-own"),
    ],
)
def test_models_in_service_get_no_note(provider: str, model: str) -> None:
    assert model_notes(provider, model) == []


LIGHT = """
import sys
from rewards.judge.client import Client
from rewards.spec import JudgeSpec
Client(JudgeSpec("openai", "m", "", ""), {"OPENAI_API_KEY": "k"})
heavy = {"openai", "anthropic", "torch", "ray", "verl", "hydra", "transformers", "httpx"}
print(sorted(heavy & set(sys.modules)))
"""


def test_making_a_client_imports_no_sdk() -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=root, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_client_says_at_once_that_its_key_is_missing() -> None:
    with pytest.raises(CannotStart, match="ANTHROPIC_API_KEY or CLAUDE_API_KEY is not set"):
        Client(JudgeSpec("claude", "claude-haiku-5-5", "", ""), {})
