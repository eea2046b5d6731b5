"""Two ends of a line between machines of a run, both in this process, over loopback."""

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from verlaunch.cluster import wire
from verlaunch.cluster.wire import Line

TOKEN = "a token of the run, long enough"
End = Line | Exception


def meet(leaders: str, nodes: str | None) -> tuple[End, End]:
    """What the leader and what a node get of each other with these tokens."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as pool:
        port = server.getsockname()[1]
        called = pool.submit(wire.call, "127.0.0.1", port, nodes, 5)
        connection, _ = server.accept()
        answered = pool.submit(wire.answer, connection, leaders)
        ends = [future.exception() or future.result() for future in (answered, called)]
    assert all(isinstance(end, Line | Exception) for end in ends)
    return ends[0], ends[1]  # type: ignore[return-value]


@contextlib.contextmanager
def lines(token: str = TOKEN) -> Iterator[tuple[Line, Line]]:
    """The leader's end and the node's."""
    leader, node = meet(token, token)
    assert isinstance(leader, Line) and isinstance(node, Line)
    try:
        yield leader, node
    finally:
        leader.close()
        node.close()
