"""What the environment does to a judge's client: proxies of odd kinds, headers of others."""

import os
from importlib.util import find_spec
from typing import Any

import pytest

from rewards.judge import proxies
from rewards.judge.client import Client
from rewards.judge.endpoint import find_endpoint
from rewards.judge.proxies import refuse
from rewards.part import CannotStart, Failure
from tests.judge_servers import KEY, Fault, JudgeServer
from tests.rewards.test_judge_client import ask_once

HEADERS = {"openai": "OPENAI_CUSTOM_HEADERS", "claude": "ANTHROPIC_CUSTOM_HEADERS"}
ADDRESS = {"openai": "OPENAI_BASE_URL", "claude": "ANTHROPIC_BASE_URL"}


@pytest.mark.parametrize(
    ("environ", "typed"),
    [
        ({"ALL_PROXY": "socks://127.0.0.1:1080/"}, "export ALL_PROXY=socks5h://127.0.0.1:1080;"),
        ({"all_proxy": "SOCKS4://h:1"}, "export all_proxy=socks5h://h:1;"),
        ({"https_proxy": "ftp://h:1"}, "export https_proxy=http://h:1;"),
        ({"HTTP_PROXY": "socks://ann:secret@h:1"}, "export HTTP_PROXY=socks5h://h:1;"),
        ({"ALL_PROXY": "socks://h:1", "no_proxy": "127.0.0.1"}, "no_proxy does not help"),
        ({"ALL_PROXY": "http://h:1", "all_proxy": "socks://h:1"}, "all_proxy=socks://h:1"),
    ],
)
def test_a_proxy_of_an_unknown_kind_is_named_with_what_to_type(
    environ: dict[str, str], typed: str
) -> None:
    with pytest.raises(CannotStart) as caught:
        refuse(environ)
    assert typed in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_socks5_needs_its_package(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"ALL_PROXY": f"{scheme}://ann:secret@h:1"}
    monkeypatch.setattr(proxies, "find_spec", lambda name: None)
    with pytest.raises(CannotStart, match=r"ALL_PROXY=socks5h?://h:1 .*pip install socksio"):
        refuse(environ)
    monkeypatch.setattr(proxies, "find_spec", lambda name: object())
    refuse(environ)


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTPS_PROXY": "http://h:1", "http_proxy": "h:1"},
        {"ALL_PROXY": "socks://h:1", "NO_PROXY": "localhost, *"},
        {"ALL_PROXY": "socks://h:1", "all_proxy": ""},
        {"FTP_PROXY": "ftp://h:1", "MY_PROXY": "odd://h"},
    ],
)
def test_other_proxies_are_left_to_the_client(environ: dict[str, str]) -> None:
    refuse(environ)


def test_the_client_itself_fails_just_where_we_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import openai

    def can_start(url: str) -> tuple[bool, bool]:
        monkeypatch.setenv("ALL_PROXY", url)
        found = []
        for make in (lambda: refuse({"ALL_PROXY": url}), lambda: openai.AsyncOpenAI(api_key="k")):
            try:
                make()
                found.append(True)
            except Exception:
                found.append(False)
        return found[0], found[1]

    assert can_start("socks://127.0.0.1:9") == (False, False)
    assert can_start("http://127.0.0.1:9") == (True, True)
    is_there = find_spec("socksio") is not None
    assert can_start("socks5://127.0.0.1:9") == (is_there, is_there)


def test_a_client_says_so_before_anything_is_sent() -> None:
    with JudgeServer("local") as server, pytest.raises(CannotStart, match="ALL_PROXY=socks://h:1"):
        Client(server.spec(), {**server.environ, "ALL_PROXY": "socks://h:1"})


def sent(provider: str, monkeypatch: pytest.MonkeyPatch, **spec: Any) -> tuple[dict, list[str]]:
    """Headers of one request, in small letters, and the notes."""
    name = "claude" if provider == "claude" else "openai"
    with JudgeServer(provider) as server:
        if spec.pop("named", False):
            monkeypatch.setenv(ADDRESS[name], server.url)
        monkeypatch.setenv(HEADERS[name], spec.pop("lines", "X-Gateway-Key: hush\nX-Team: a"))
        environ = {**server.environ}
        for variable in (HEADERS[name], ADDRESS[name]):
            if value := os.environ.get(variable):
                environ[variable] = value
        notes = list(find_endpoint(server.spec(), environ).notes)
        monkeypatch.setattr(type(server), "environ", environ)
        ask_once(server)
    return {key.lower(): value for key, value in server.requests[0].headers.items()}, notes


@pytest.mark.parametrize("provider", ["local", "dashscope", "gemini", "claude"])
def test_headers_of_the_environment_reach_no_other_host(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, notes = sent(provider, monkeypatch)
    assert "hush" not in str(headers) and "x-team" not in headers
    assert [note for note in notes if "CUSTOM_HEADERS is not sent to 127.0.0.1" in note]
    assert "hush" not in str(notes)


@pytest.mark.parametrize("provider", ["local", "claude"])
def test_another_authorization_reaches_no_other_host(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "Authorization: Bearer hush\nx-api-key: hush"
    headers, _ = sent(provider, monkeypatch, lines=lines)
    assert "hush" not in str(headers) and KEY in str(headers)


@pytest.mark.parametrize("provider", ["local", "claude"])
def test_headers_of_the_environment_reach_the_host_that_it_names(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, notes = sent(provider, monkeypatch, named=True)
    assert headers["x-gateway-key"] == "hush" and not notes


@pytest.mark.parametrize("provider", ["local", "claude"])
def test_a_note_says_where_one_replaces_the_judges_own_key(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JudgeServer(provider) as server:
        name = "claude" if provider == "claude" else "openai"
        environ = {ADDRESS[name]: server.url, HEADERS[name]: "authorization: Bearer hush"}
        (note,) = find_endpoint(server.spec(), {**server.environ, **environ}).notes
    assert "replaces authorization" in note and "hush" not in note


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("provider", ["local", "claude"])
def test_nothing_goes_to_a_host_that_the_judges_own_sends_on_to(
    provider: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "claude" if provider == "claude" else "openai"
    with JudgeServer(provider) as other:
        on = Fault(status, headers={"location": f"{other.url}/chat/completions?token=hush"})
        with JudgeServer(provider, faults=[on]) as server:
            monkeypatch.setenv(ADDRESS[name], server.url)
            monkeypatch.setenv(HEADERS[name], "X-Gateway-Key: hush")
            with pytest.raises(Failure) as caught:
                ask_once(server)
        assert other.requests == [] and len(server.requests) == 1  # nor is it asked again
    said = str(caught.value)
    assert f"{status} from" in said and f"it sends on to {other.url}" in said
    assert "--rm_base_url ADDRESS" in said and "hush" not in said
