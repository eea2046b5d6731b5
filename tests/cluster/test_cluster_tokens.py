"""The secret of a run: where it comes from, who may read it, and what is none."""

import os
import stat
from pathlib import Path

import pytest

from verlaunch.cluster import tokens
from verlaunch.errors import UserError

GIVEN = "0123456789abcdef0123"


def refusal(launch: dict[str, object], env: dict[str, str]) -> str:
    with pytest.raises(UserError) as caught:
        tokens.given(launch, env)
    return str(caught.value)


def test_the_variable_comes_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-the-file-0123456\n")
    launch = {"token_file": str(file)}
    assert tokens.given(launch, {tokens.VARIABLE: f" {GIVEN}\n"}) == GIVEN
    assert tokens.given(launch, {}) == "from-the-file-0123456"
    assert tokens.given({"token_file": None}, {}) is None
    assert tokens.given({"token_file": None}, {tokens.VARIABLE: " "}) is None


@pytest.mark.parametrize(
    "token", ["short", "a" * 15, "two words of enough letters", "ü" * 20, "two\nlines-of-letters"]
)
def test_a_token_that_is_none_is_refused_without_being_shown(token: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(token)
    variable = refusal({"token_file": None}, {tokens.VARIABLE: token})
    in_file = refusal({"token_file": str(file)}, {})
    assert variable.startswith(f"{tokens.VARIABLE} holds no token: that is one word of at least 16")
    assert in_file.startswith(f"--token_file {file} holds no token")
    for told in (variable, in_file):
        assert "openssl rand -hex 32" in told
        assert token not in told.replace(str(file), "")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing, folder, binary = tmp_path / "missing", tmp_path, tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00" * 10)
    for file in (missing, folder, binary):
        assert f"--token_file {file} " in refusal({"token_file": str(file)}, {})


def test_node_0_makes_a_token_that_only_its_owner_can_read(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        token = tokens.made(tmp_path)
    finally:
        os.umask(before)
    file = tmp_path / tokens.FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == f"{token}\n"
    assert tokens.given({"token_file": str(file)}, {}) == token
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_token_is_kept_for_the_next_attempt_and_forgotten_at_the_end(tmp_path: Path) -> None:
    assert tokens.shared(tmp_path) is None
    token = tokens.made(tmp_path)
    assert tokens.made(tmp_path) == tokens.shared(tmp_path) == token
    tokens.forget(tmp_path)
    tokens.forget(tmp_path)
    assert tokens.shared(tmp_path) is None
    assert tokens.made(tmp_path) != token


def test_a_message_says_where_this_machines_token_comes_from(tmp_path: Path) -> None:
    variable = {tokens.VARIABLE: GIVEN}
    assert tokens.source({"token_file": "f"}, variable, tmp_path) == "the one in RAY_AUTH_TOKEN"
    assert tokens.source({"token_file": "f"}, {}, tmp_path) == "the one in --token_file f"
    file = tmp_path / "logs" / "token"
    assert tokens.source({"token_file": None}, {}, tmp_path) == f"the one in {file}"
