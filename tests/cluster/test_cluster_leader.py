"""Node 0 and the nodes that join it, over loopback: who is taken, who is not, and how all end."""

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cluster_lines import TOKEN
from tests.cluster_nodes import node
from verlaunch.cluster import facts, joining, leader, peer, shared_folder, tokens, wire
from verlaunch.cluster.facts import Node
from verlaunch.cluster.leader import Leader
from verlaunch.cluster.peer import Joined, Peer
from verlaunch.cluster.place import Place
from verlaunch.errors import UserError

HERE = "127.0.0.1"
LAUNCH: dict[str, Any] = {"join_timeout": 0.5, "token_file": None}


@pytest.fixture(autouse=True)
def nimble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tokens.VARIABLE, raising=False)
    monkeypatch.setattr(peer, "BEAT_S", 0.1)
    monkeypatch.setattr(leader, "POLL_S", 0.02)
    monkeypatch.setattr(leader, "FAREWELL_S", 0.5)
    monkeypatch.setattr(leader, "LINGER_S", 0.2)
    monkeypatch.setattr(leader, "COMPLETE_S", 0.2)
    monkeypatch.setattr(shared_folder, "PATIENCE_S", 1.0)
    monkeypatch.setattr(joining, "RETRY_S", 0.05)
    monkeypatch.setattr(joining, "TOKEN_S", 0.3)


def free_port() -> int:
    with socket.socket() as probed:
        probed.bind((HERE, 0))
        return int(probed.getsockname()[1])


class Bench:
    """A leader of `nodes` machines in this process, what it said, and nodes that come to it."""

    def __init__(self, folder: Path, nodes: int = 2) -> None:
        self.folder, self.said = folder, list[str]()
        self.place = Place(0, nodes, HERE, free_port(), HERE, "lo")
        self.leader = Leader(self.place, node(0, nodes), TOKEN, self.said.append, "Hand it over.")
        self.peers: list[Peer] = []

    def come(self, me: Node, token: str | None = TOKEN) -> Peer:
        """Raises UserError as the node would."""
        folder = self.folder / f"token of {token}"
        if token:
            (folder / "logs").mkdir(parents=True, exist_ok=True)
            (folder / tokens.FILE).write_text(token)
        place = replace(self.place, rank=me.rank)
        self.peers.append(joining.join(place, me, None, LAUNCH, folder, time.monotonic() + 20))
        with self.leader.changed:  # until the leader has written it down
            return self.peers[-1]

    def refusal(self, me: Node, token: str | None = TOKEN) -> str:
        with pytest.raises(UserError) as caught:
            self.come(me, token)
        return str(caught.value)

    def gather(self, timeout_s: float = 20) -> list[Node]:
        return self.leader.gather(self.folder, {}, {}, timeout_s)

    def missing(self) -> str:
        with pytest.raises(UserError) as caught:
            self.gather(0.2)
        return str(caught.value)

    def heard(self, text: str) -> None:
        deadline = time.monotonic() + 20
        while not any(text in line for line in self.said):
            assert time.monotonic() < deadline, self.said
            time.sleep(0.01)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def made(nodes: int = 2) -> Bench:
        benches.append(Bench(tmp_path, nodes))
        return benches[-1]

    yield made
    for bench in benches:
        for here in bench.peers:
            here.close()


def follow(peer: Peer, bench: Bench, rank: int, ends: list[Joined]) -> threading.Thread:
    """A node that gets ready, and then waits for the run to be over."""

    def work() -> None:
        joined = Joined(peer)
        ends.append(joined)
        asked = joined.wait_for("prepare")
        if asked is not None:
            shared_folder.answer(Path(asked["folder"]), asked["nonce"], rank)
            peer.send({"say": "ready", "problems": []})
            joined.wait_for("start that never comes")
        peer.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def getting_ready(peer: Peer, folder: Path | None, rank: int, *problems: str) -> None:
    """Once it is asked to; `folder`: where it answers the probe, if it does."""

    def work() -> None:
        asked = peer.next(20)
        if asked and folder:
            shared_folder.answer(folder, asked["nonce"], rank)
        peer.send({"say": "ready", "problems": problems})

    threading.Thread(target=work, daemon=True).start()


def test_all_nodes_come_together_in_any_order(make: Callable[..., Bench]) -> None:
    bench, ends = make(3), list[Joined]()
    with bench.leader:
        threads = [follow(bench.come(node(rank, 3)), bench, rank, ends) for rank in (2, 1)]
        assert [there.rank for there in bench.gather()] == [0, 1, 2]
        assert bench.leader.trouble() == ""
        bench.leader.code = 7
    for thread in threads:
        thread.join(20)
    assert [end.code for end in ends] == [7, 7]
    assert "Node 2 (host2, 10.77.0.3) is here: 2 of 3 nodes." in bench.said
    assert "Node 1 (host1, 10.77.0.2) is here: 3 of 3 nodes." in bench.said
    assert not list(bench.folder.glob("logs/probe-*"))


def test_who_is_missing_is_named_with_what_to_type(make: Callable[..., Bench]) -> None:
    bench = make(4)
    with pytest.raises(UserError), bench.leader:
        bench.come(node(1, 4))
        told = bench.missing()
        assert told.startswith("2 of 4 nodes: missing ranks 2, 3 after ")
        assert "NODE_RANK=2 and MASTER_ADDR=127.0.0.1" in told
        assert f"must let it reach 127.0.0.1:{bench.place.port}" in told
        raise UserError(told)
    assert any("2 of 4 nodes; waiting" in line for line in bench.said)


def test_a_mistake_told_on_the_leader_ends_the_nodes_with_2_and_the_reason(
    make: Callable[..., Bench], capsys: pytest.CaptureFixture[str]
) -> None:
    bench, ends = make(3), list[Joined]()
    with pytest.raises(UserError), bench.leader:
        thread = follow(bench.come(node(1, 3)), bench, 1, ends)
        bench.gather(0.2)
    thread.join(20)
    assert ends[0].code == 2
    assert "The run has ended with exit code 2: 2 of 3 nodes: missing rank 2" in (
        capsys.readouterr().out
    )


def test_ctrl_c_on_the_leader_ends_the_nodes_with_130(
    make: Callable[..., Bench], capsys: pytest.CaptureFixture[str]
) -> None:
    bench, ends = make(), list[Joined]()
    with pytest.raises(KeyboardInterrupt), bench.leader:
        thread = follow(bench.come(node(1)), bench, 1, ends)
        bench.gather()
        raise KeyboardInterrupt
    thread.join(20)
    assert ends[0].code == 130
    assert "exit code 130: node 0 was stopped" in capsys.readouterr().out


def test_a_run_with_nothing_left_to_do_ends_the_nodes_that_come_a_moment_later(
    make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "COMPLETE_S", 20.0)
    bench, ends = make(), list[Joined]()

    def late() -> None:
        bench.heard("Telling the other nodes")
        follow(bench.come(node(1)), bench, 1, ends).join(20)

    thread = threading.Thread(target=late)
    thread.start()
    with bench.leader:
        bench.leader.code = 0
    thread.join(20)
    assert ends[0].code_of_run == 0


def test_a_full_disk_on_the_leader_ends_the_nodes_as_itself(make: Callable[..., Bench]) -> None:
    bench, ends = make(), list[Joined]()
    with pytest.raises(OSError), bench.leader:
        thread = follow(bench.come(node(1)), bench, 1, ends)
        raise OSError(errno.ENOSPC, "No space left on device")
    thread.join(20)
    assert ends[0].code == 2


def test_a_node_that_leaves_while_it_prepares_is_not_waited_for(
    make: Callable[..., Bench],
) -> None:
    bench, told = make(), list[str]()
    with contextlib.suppress(UserError), bench.leader:
        here = bench.come(node(1))

        def restart() -> None:
            here.next(20)  # it is asked to prepare
            here.close()
            told.append(bench.refusal(node(1)))

        thread = threading.Thread(target=restart)
        thread.start()
        assert "Node 1 (host1, 10.77.0.2) is lost" in bench.missing()
        thread.join(20)
        assert "the run has begun" in told[0]


def test_a_fault_of_the_leader_ends_the_nodes_with_1(make: Callable[..., Bench]) -> None:
    bench, ends = make(), list[Joined]()
    with pytest.raises(ZeroDivisionError), bench.leader:
        thread = follow(bench.come(node(1)), bench, 1, ends)
        raise ZeroDivisionError
    thread.join(20)
    assert ends[0].code == 1


def test_a_leader_that_is_gone_ends_the_node(
    make: Callable[..., Bench], capsys: pytest.CaptureFixture[str]
) -> None:
    bench = make()
    with bench.leader:
        joined = Joined(bench.come(node(1)))
        bench.leader.members[1].peer.close()  # as the kernel does for a process that was killed
        assert joined.wait_for("prepare") is None
    assert joined.code == 1
    assert "Node 0 is lost: its connection was closed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("token", "why", "told"),
    [
        ("of another run, long enough", wire.WRONG_TOKEN, "has another token than the one in"),
        (None, wire.NO_TOKEN, "takes only who has the run's token, and there is none here"),
    ],
)
def test_a_node_without_the_token_is_refused_and_both_sides_say_so(
    make: Callable[..., Bench], token: str | None, why: str, told: str
) -> None:
    bench = make()
    with contextlib.suppress(UserError), bench.leader:
        refused = bench.refusal(node(1), token)
        assert told in refused
        assert "RAY_AUTH_TOKEN=THAT_LINE" in refused
        assert bench.said == [f"Refused a node at 127.0.0.1: it has {why}. Hand it over."]
        assert f"Refused: 127.0.0.1 had {why}." in bench.missing()
        assert TOKEN not in "".join([refused, *bench.said])


def test_who_was_refused_may_come_again_with_the_token(make: Callable[..., Bench]) -> None:
    bench, ends = make(), list[Joined]()
    with bench.leader:
        bench.refusal(node(1), "of another run, long enough")
        thread = follow(bench.come(node(1)), bench, 1, ends)
        assert len(bench.gather()) == 2
        bench.leader.code = 0
    thread.join(20)
    assert ends[0].code == 0


def test_a_second_node_with_the_same_rank_is_refused_and_the_first_stays(
    make: Callable[..., Bench],
) -> None:
    bench = make(3)
    with bench.leader:
        first = bench.come(node(1, 3))
        twin = replace(node(1, 3), host="other", address="10.77.0.9")
        assert "node 1 is here already: host1, 10.77.0.2" in bench.refusal(twin)
        bench.heard("Refused node 1 (other, 10.77.0.9): node 1 is here already")
        assert first.gone == ""
        assert bench.leader.members[1].node.host == "host1"


def test_a_node_may_leave_and_come_again_until_all_are_there(make: Callable[..., Bench]) -> None:
    bench, ends = make(), list[Joined]()
    with bench.leader:
        bench.come(node(1)).close()
        deadline = time.monotonic() + 20
        while not bench.leader.members[1].peer.gone:
            assert time.monotonic() < deadline
        again = replace(node(1), host="again")
        thread = follow(bench.come(again), bench, 1, ends)
        assert bench.gather()[1].host == "again"
    thread.join(20)


def test_a_node_that_has_left_is_missing(make: Callable[..., Bench]) -> None:
    bench = make()
    with contextlib.suppress(UserError), bench.leader:
        bench.come(node(1)).close()
        deadline = time.monotonic() + 20
        while not bench.leader.members[1].peer.gone:
            assert time.monotonic() < deadline
        assert "1 of 2 nodes: missing rank 1" in bench.missing()
        assert "Node 1 (host1, 10.77.0.2) has left again." in bench.said


def test_nobody_joins_a_run_that_has_begun(make: Callable[..., Bench]) -> None:
    bench = make()
    with bench.leader:
        here = bench.come(node(1))
        getting_ready(here, bench.folder, 1)
        bench.gather()
        here.close()
        deadline = time.monotonic() + 20
        while not bench.leader.trouble():
            assert time.monotonic() < deadline
        assert bench.leader.trouble() == (
            "node 1 (host1, 10.77.0.2) is lost: its connection was closed: its process has ended"
        )
        assert "the run has begun" in bench.refusal(node(1))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (replace(node(1), versions={**node(1).versions, "ray": "2.59.0"}),
         "it has ray 2.59.0 instead of 2.60.0. Install the same on every machine"),
        (replace(node(1), settings={"data.train_batch_size": "16"}),
         "its settings are others: --batch_size is 16 instead of 8"),
        (node(1, nodes=3), "it was started with --nnodes 3, and node 0 with 2"),
        (node(2, nodes=3), "it was started with --nnodes 3, and node 0 with 2"),
    ],
)  # fmt: skip
def test_a_node_that_does_not_fit_ends_the_wait_and_both_sides_say_why(
    make: Callable[..., Bench], other: Node, why: str
) -> None:
    bench = make()
    with contextlib.suppress(UserError), bench.leader:
        assert f"Node 0 does not take this node: {why}" in bench.refusal(other)
        assert f"Node {other.rank} (" in bench.missing()
        with pytest.raises(UserError, match="cannot take part"):
            bench.gather()
        assert why in bench.missing()


def test_a_nodes_own_problem_is_told_on_both_sides_in_its_words(
    make: Callable[..., Bench],
) -> None:
    bench = make()
    sick = replace(node(1), problems=["The disk is full.", "The driver is too old."])
    with contextlib.suppress(UserError), bench.leader:
        assert bench.refusal(sick) == "The disk is full.\nThe driver is too old."
        assert bench.missing() == (
            "Node 1 (host1, 10.77.0.2) cannot take part: The disk is full; The driver is too old."
        )


@pytest.mark.parametrize("rank", [0, 2])
def test_a_rank_that_is_no_nodes_is_refused(make: Callable[..., Bench], rank: int) -> None:
    bench = make()
    with bench.leader:
        assert f"there is no node {rank} to join: the ranks are 1 to 1" in bench.refusal(node(rank))


@pytest.mark.parametrize(
    "hello", [{"say": "hello"}, {"say": "hello", "node": {"rank": 1, "planet": "Mars"}}]
)
def test_a_launcher_that_speaks_otherwise_is_refused(
    make: Callable[..., Bench], hello: dict[str, Any]
) -> None:
    bench = make()
    with bench.leader:
        line = wire.call(HERE, bench.place.port, TOKEN, 5)
        line.send(hello)
        answer = line.receive(10)
        assert answer is not None
        assert "of another version" in answer["why"]
        bench.heard("its launcher is of another version")
        line.close()


def test_scans_and_garbage_do_not_stop_the_leader(make: Callable[..., Bench]) -> None:
    bench, ends = make(), list[Joined]()
    with bench.leader:
        for words in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 64, b"\xff" * 4096):
            with socket.create_connection((HERE, bench.place.port)) as stranger:
                stranger.sendall(words)
        silent = [socket.create_connection((HERE, bench.place.port)) for _ in range(20)]
        mute = wire.call(HERE, bench.place.port, TOKEN, 5)
        thread = follow(bench.come(node(1)), bench, 1, ends)
        assert len(bench.gather()) == 2
        bench.leader.code = 0
    thread.join(20)
    for connection in silent:
        connection.close()
    mute.close()
    assert ends[0].code == 0


def test_a_node_that_does_not_see_the_folder_is_refused_with_the_reason(
    make: Callable[..., Bench],
) -> None:
    bench = make()
    with contextlib.suppress(UserError), bench.leader:
        getting_ready(bench.come(node(1)), None, 1)
        with pytest.raises(UserError) as caught:
            bench.gather()
        assert f"Node 1 (host1, 10.77.0.2): it does not see node 0's {bench.folder}" in str(
            caught.value
        )
        assert "--output_dir /SHARED/FOLDER" in str(caught.value)


def test_what_keeps_nodes_from_getting_ready_is_told_of_all_of_them(
    make: Callable[..., Bench],
) -> None:
    bench = make(3)
    with contextlib.suppress(UserError), bench.leader:
        for rank in (1, 2):
            getting_ready(bench.come(node(rank, 3)), None, rank, f"disk {rank} is full.")
        with pytest.raises(UserError) as caught:
            bench.gather()
        assert caught.value.problems == (
            "Node 1 (host1, 10.77.0.2): disk 1 is full.",
            "Node 2 (host2, 10.77.0.3): disk 2 is full.",
        )


def test_a_node_that_fails_or_is_asked_to_stop_is_heard(make: Callable[..., Bench]) -> None:
    bench = make()
    with bench.leader:
        here = bench.come(node(1))
        here.send({"say": "asked", "signal": 15})
        deadline = time.monotonic() + 20
        while not (asked := bench.leader.asked()):
            assert time.monotonic() < deadline
        assert [(there.rank, number) for there, number in asked] == [(1, 15)]
        assert bench.leader.asked() == []
        here.send({"say": "failed", "why": "raylet died (its log: /r/node.log)"})
        while not bench.leader.trouble():
            assert time.monotonic() < deadline
        assert bench.leader.trouble() == (
            "node 1 (host1, 10.77.0.2) failed: raylet died (its log: /r/node.log)"
        )


def test_a_taken_port_is_named_and_another_proposed(make: Callable[..., Bench]) -> None:
    bench = make()
    taken = socket.create_server((HERE, bench.place.port))
    with taken, pytest.raises(UserError) as caught, bench.leader:
        pass
    assert str(caught.value) == (
        f"Node 0 cannot wait for the others at 127.0.0.1:{bench.place.port} (Address already in "
        f"use). Give every machine another port, such as --master_port {bench.place.port + 1}."
    )


def test_the_port_is_free_when_the_run_is_over(make: Callable[..., Bench]) -> None:
    bench = make()
    with bench.leader:
        socket.create_connection((HERE, bench.place.port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HERE, bench.place.port))
    socket.create_server((HERE, bench.place.port)).close()


def test_a_node_without_a_leader_gives_up_and_says_where_it_looked(tmp_path: Path) -> None:
    place = Place(1, 2, HERE, free_port(), HERE, "lo")
    with pytest.raises(UserError) as caught:
        joining.join(place, node(1), None, LAUNCH, tmp_path, time.monotonic() + 0.2)
    assert str(caught.value) == (
        f"Node 0 did not answer at 127.0.0.1:{place.port} within 0.5 min (Connection refused). "
        "Start the same command there with NODE_RANK=0; a firewall must let this machine reach "
        "that port. More time: --join_timeout MINUTES."
    )


def test_a_node_may_come_before_the_leader(make: Callable[..., Bench]) -> None:
    bench = make()
    joined: list[Peer] = []
    early = threading.Thread(target=lambda: joined.append(bench.come(node(1))))
    early.start()
    with bench.leader:
        early.join(20)
        assert joined[0].gone == ""
        assert facts.differences(node(0).versions, bench.leader.members[1].node.versions) == []
