"""Where the nodes of a run meet: node 0 listens, asks for the token, welcomes or refuses.

    meeting = Meeting(place, mine, token, screen.say)
    meeting.open()
    meeting.missing()        ->  [1, 3]; the others are in meeting.members
    meeting.wrong            ->  ["Node 2 (c, 10.0.0.3) cannot take part: it has ray 2.59.0 ..."]
    meeting.close()

A node comes in any order, and may come again until all are there. Each caller has a thread of its
own, so that one who says nothing keeps nobody waiting.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from verlaunch.cluster import facts, wire
from verlaunch.cluster.addresses import family, with_port
from verlaunch.cluster.facts import Node
from verlaunch.cluster.peer import Peer
from verlaunch.cluster.place import Place
from verlaunch.errors import UserError
from verlaunch.text import capital, plural

FIRST_WORDS_S = 10.0


@dataclass
class Member:
    node: Node
    peer: Peer
    said: dict[str, dict[str, Any]] = field(default_factory=dict)  # the newest of each kind

    def read(self) -> None:
        while message := self.peer.next():
            self.said[str(message.get("say"))] = message


class Meeting:
    def __init__(
        self, place: Place, mine: Node, token: str, say: Callable[[str], None], hint: str = ""
    ) -> None:
        """`say`: to the screen. `hint`: how other machines come by the token."""
        self.place, self.mine, self.token, self.say, self.hint = place, mine, token, say, hint
        self.members: dict[int, Member] = {}
        self.wrong: list[str] = []  # why a node that has the token cannot take part
        self.refused: dict[str, str] = {}  # address -> why
        self.changed = threading.Lock()
        self.begun = False
        self.server: socket.socket | None = None

    def open(self) -> None:
        """Raises UserError when the port is taken."""
        port = self.place.port
        here = (self.place.address, port)
        other = port + 1 if port < 65535 else port - 1
        try:
            self.server = socket.create_server(here, family=family(here[0]))
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise UserError(
                f"Node 0 cannot wait for the others at {with_port(*here)} ({why}). "
                f"Give every machine another port, such as --master_port {other}."
            ) from None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Nobody joins any more; who is being welcomed is a member by then."""
        with self.changed:
            self.begun = True
        if self.server is not None:
            with contextlib.suppress(OSError):  # close alone leaves accept, and so the port, open
                self.server.shutdown(socket.SHUT_RDWR)
            self.server.close()

    def _accept(self) -> None:
        assert self.server is not None
        while True:
            try:
                connection, address = self.server.accept()
            except OSError:  # closed: the run is over
                return
            caller = str(address[0])
            threading.Thread(target=self._meet, args=(connection, caller), daemon=True).start()

    def _meet(self, connection: socket.socket, caller: str) -> None:
        try:
            line = wire.answer(connection, self.token)
            hello = line.receive(FIRST_WORDS_S)
        except wire.Refused as refused:
            self._refuse(caller, str(refused))
            return
        except wire.Broken:  # a scan of ports, or a node that has given up
            return
        if hello is None or hello.get("say") != "hello":
            line.close()
            return
        try:
            node = Node(**hello["node"])
        except (KeyError, TypeError):
            self._turn_away(line, "its launcher is of another version than node 0's")
            self.say(f"Refused a node at {caller}: its launcher is of another version.")
            return
        with contextlib.suppress(wire.Broken):  # it has given up meanwhile
            self._welcome(line, node)

    def _turn_away(self, line: wire.Line, why: str) -> None:
        with contextlib.suppress(wire.Broken):
            line.send({"say": "refused", "why": why})
        line.close()

    def _refuse(self, caller: str, why: str) -> None:
        if self.refused.get(caller) != why:
            self.refused[caller] = why
            self.say(f"Refused a node at {caller}: it has {why}. {self.hint}".rstrip())

    def _welcome(self, line: wire.Line, node: Node) -> None:
        with self.changed:
            if why := self._why_not(node):
                self._turn_away(line, why)
                self.say(f"Refused {node}: {why}.")
                return
            line.send({"say": "welcome"})
            self.members[node.rank] = Member(node, Peer(line))
        cards = f" with {facts.cards(node)}" if node.gpus else ""
        self.say(f"{capital(node)} is here{cards}: {self.count()}.")

    def _why_not(self, node: Node) -> str:
        """A node with other software or settings ends the wait: nobody will mend it meanwhile."""
        there = self.members.get(node.rank)
        if there is not None and not there.peer.gone:
            return (
                f"node {node.rank} is here already: {there.node.host}, {there.node.address}. Every "
                "machine has a NODE_RANK of its own, and one launcher"
            )
        if self.begun:
            return "the run has begun"
        if why := facts.why_not(self.mine, node):
            self.wrong.append(f"{capital(node)} cannot take part: {why}.")
            return why
        if not 0 < node.rank < self.place.nodes:
            return (
                f"there is no node {node.rank} to join: the ranks are 1 to {self.place.nodes - 1}"
            )
        return ""

    def missing(self) -> list[int]:
        with self.changed:
            gone = [rank for rank, member in self.members.items() if member.peer.gone]
            for rank in gone:
                self.say(f"{capital(self.members[rank].node)} has left again.")
                del self.members[rank]
            return [rank for rank in range(1, self.place.nodes) if rank not in self.members]

    def count(self) -> str:
        return f"{1 + len(self.members)} of {plural(self.place.nodes, 'node')}"
