"""The line between two machines: who is let in, what travels, and how it ends."""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cluster_lines import TOKEN, lines, meet
from verlaunch.cluster import wire
from verlaunch.cluster.wire import Broken, Line, Refused

OTHER = "another token, as long as that"


@contextlib.contextmanager
def answering(token: str = TOKEN) -> Iterator[tuple[socket.socket, list[BaseException]]]:
    """A socket to someone who answers as a leader does, and how that ended."""
    ours, theirs = socket.socketpair()
    ended: list[BaseException] = []

    def answer() -> None:
        try:
            wire.answer(theirs, token)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield ours, ended
    finally:
        ours.close()
        thread.join(30)


def framed(body: bytes) -> bytes:
    return struct.pack("!I", len(body)) + body


def test_who_has_the_token_is_let_in_and_both_can_speak() -> None:
    with lines() as (leader, node):
        leader.send({"say": "welcome"})
        node.send({"say": "hello", "node": {"rank": 1, "host": "gpu-é"}})
        assert node.receive(5) == {"say": "welcome"}
        assert leader.receive(5) == {"say": "hello", "node": {"rank": 1, "host": "gpu-é"}}


@pytest.mark.parametrize(
    ("nodes", "why"), [(OTHER, wire.WRONG_TOKEN), (None, wire.NO_TOKEN), ("", wire.NO_TOKEN)]
)
def test_a_node_with_a_wrong_token_or_none_is_refused_and_both_sides_know_why(
    nodes: str | None, why: str
) -> None:
    for end in meet(TOKEN, nodes):
        assert isinstance(end, Refused)
        assert str(end) == why


def test_a_leader_that_lets_everybody_in_without_the_token_is_refused_by_the_node() -> None:
    """Who took the leader's address must not be told anything, nor be obeyed."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def pretend() -> None:
            line = Line(server.accept()[0])
            line.send({"greeting": wire.GREETING, "nonce": "00"})
            line.receive(5)
            line.send({"proof": "00"})

        threading.Thread(target=pretend, daemon=True).start()
        with pytest.raises(Refused, match="the leader has another token"):
            wire.call("127.0.0.1", server.getsockname()[1], TOKEN, 5)


def test_a_proof_heard_on_another_line_is_worth_nothing() -> None:
    """Nonces are fresh: what a node has once said to a leader does not open the next line."""
    said = {"nonce": "00", "proof": wire._proof(TOKEN, "node", "an earlier nonce 00")}
    with answering() as (caller, ended):
        Line(caller).receive(5)
        Line(caller).send(said)
        assert Line(caller).receive(5) == {"refused": wire.WRONG_TOKEN}
    assert isinstance(ended[0], Refused)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x00\x00\x00\x05hello",
        framed(b"[1, 2]"),
        framed(b"{}"),
        framed(b"\xff\xfe"),
        framed(b"[" * 4000),
        framed('{"nonce": "é", "proof": "é"}'.encode()),
        framed(b'{"nonce": "\\ud800", "proof": "00"}'),
        framed(b'{"nonce": [], "proof": {"a": 1}}'),
        framed(b" " * 5000),
        struct.pack("!I", 0xFFFFFFFF),
        b"",
    ],
)
def test_garbage_ends_its_own_line_and_is_no_fault_of_ours(said: bytes) -> None:
    with answering() as (caller, ended), contextlib.suppress(OSError):
        caller.sendall(said)
        caller.shutdown(socket.SHUT_WR)
    assert isinstance(ended[0], Broken | Refused)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from(["nonce", "proof"]), st.text() | st.integers() | st.none()))
def test_no_first_words_of_a_stranger_open_the_line(said: dict[str, object]) -> None:
    with answering() as (caller, ended), contextlib.suppress(OSError):
        caller.sendall(framed(json.dumps(said).encode()))
        caller.shutdown(socket.SHUT_WR)
    assert isinstance(ended[0], Broken | Refused)


def test_another_program_at_the_leaders_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            Line(server.accept()[0]).send({"greeting": "verlaunch 7", "nonce": "00"})

        threading.Thread(target=greet, daemon=True).start()
        with pytest.raises(Broken, match="verlaunch 7 answers there"):
            wire.call("127.0.0.1", server.getsockname()[1], TOKEN, 5)


def test_a_long_message_arrives_whole() -> None:
    """All settings of a run are some ten thousand characters; this is fifty times as long."""
    long = {"say": "hello", "settings": {f"key.{i}": "x" * 100 for i in range(5_000)}}
    with lines() as (leader, node):
        sent = threading.Thread(target=node.send, args=(long,))
        sent.start()
        assert leader.receive(20) == long
        sent.join()


def test_messages_that_come_together_are_told_apart() -> None:
    with lines() as (leader, node):
        for number in range(20):
            node.send({"number": number})
        assert [leader.receive(5) for _ in range(20)] == [{"number": n} for n in range(20)]
        assert leader.receive(0.05) is None


class Tapped(socket.socket):
    """Keeps what it sends."""

    sent: list[bytes]

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        self.sent.append(bytes(data))
        super().sendall(data, flags)


def test_the_bytes_between_hold_neither_the_token_nor_what_is_said() -> None:
    ours, theirs = socket.socketpair()
    leader_end, node_end = Tapped(fileno=ours.detach()), Tapped(fileno=theirs.detach())
    leader_end.sent, node_end.sent = [], []
    opened: list[Line] = []
    answer = threading.Thread(target=lambda: opened.append(wire.answer(leader_end, TOKEN)))
    answer.start()
    node = Line(node_end)
    wire._prove(node, TOKEN)
    answer.join(10)
    opened[0].send({"say": "start", "env": {"HF_TOKEN": "hf_planted_secret"}})
    assert node.receive(5) == {"say": "start", "env": {"HF_TOKEN": "hf_planted_secret"}}
    between = b"".join(leader_end.sent + node_end.sent)
    assert b"greeting" in between
    for secret in (TOKEN, "hf_planted_secret", "HF_TOKEN", "start"):
        assert secret.encode() not in between
    opened[0].close()
    node.close()


def test_what_is_changed_on_the_way_breaks_the_line() -> None:
    with lines() as (leader, node):
        assert node.sealed is not None
        sealed = bytearray(node.sealed.encrypt(b'{"say": "failed"}'))
        sealed[40] ^= 1
        node.connection.sendall(framed(bytes(sealed)))
        with pytest.raises(Broken, match="not of this program"):
            leader.receive(5)


def test_a_line_closed_by_the_other_side_is_broken_for_this_one() -> None:
    with lines() as (leader, node):
        node.send({"say": "failed"})
        node.close()
        assert leader.receive(5) == {"say": "failed"}
        with pytest.raises(Broken, match="closed by the other side"):
            leader.receive(5)
