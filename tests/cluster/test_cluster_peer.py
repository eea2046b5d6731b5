"""The machine at the other end: what it says arrives, and how it is lost is known."""

import time
from collections.abc import Callable

import pytest

from tests.cluster_lines import lines
from verlaunch.cluster import peer
from verlaunch.cluster.peer import BEAT, Peer


@pytest.fixture(autouse=True)
def nimble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "BEAT_S", 0.05)
    monkeypatch.setattr(peer, "POLL_S", 0.05)
    monkeypatch.setattr(peer, "SILENCE_S", 0.6)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_said_arrives_in_order_and_beats_are_not_shown() -> None:
    with lines() as (leader, node):
        here, there = Peer(leader), Peer(node)
        for number in range(5):
            there.send({"number": number})
        assert [here.next(20) for _ in range(5)] == [{"number": n} for n in range(5)]
        assert here.next(0.3) is None
        assert here.next() is None
        assert here.gone == there.gone == ""


def test_who_says_nothing_but_beats_is_there() -> None:
    with lines() as (leader, node):
        here, there = Peer(leader), Peer(node)
        since = here.heard
        until(lambda: here.heard > since + 2 * peer.SILENCE_S or here.gone)
        assert here.gone == there.gone == ""


def test_a_process_that_ends_shows_at_once() -> None:
    with lines() as (leader, node):
        here = Peer(leader)
        node.close()
        until(lambda: here.gone)
        assert here.gone == "its connection was closed: its process has ended"


def test_who_falls_silent_is_lost() -> None:
    """As with a cable that is pulled: the line is open, and nothing comes."""
    with lines() as (leader, node):
        here = Peer(leader)
        node.send(BEAT)
        until(lambda: here.gone)
        assert here.gone == "nothing was heard of it for 0.6 s"


def test_the_last_words_of_a_lost_peer_are_heard_before_it_is_gone() -> None:
    with lines() as (leader, node):
        here = Peer(leader)
        node.send({"say": "failed", "why": "the disk is full"})
        node.close()
        until(here.over.is_set)
        assert here.gone == ""
        assert here.next() == {"say": "failed", "why": "the disk is full"}
        assert here.gone != ""


def test_what_a_lost_peer_should_have_heard_is_dropped() -> None:
    with lines() as (leader, node):
        here = Peer(leader)
        node.close()
        until(lambda: here.gone)
        here.send({"say": "end", "code": 0})
        assert here.next() is None


def test_a_peer_that_we_close_is_not_lost() -> None:
    with lines() as (leader, node):
        here, there = Peer(leader), Peer(node)
        here.close()
        until(lambda: there.gone)
        assert here.gone == ""
        assert there.gone == "its connection was closed: its process has ended"
