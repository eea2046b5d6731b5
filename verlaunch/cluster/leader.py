"""Node 0 of a run of several machines: gathers the others, starts, watches and ends them.

    with Leader(place, mine, token, screen.say) as leader:
        leader.gather(folder, {"model": model_folder})     # UserError: who is missing, and why
        ...                                                # Ray's head is up
        leader.start(lambda node: {"ray": {"gcs": "10.0.0.1:41001", ...}, "env": {...}})
        leader.trouble()    ->  "node 1 (b, 10.0.0.2) is lost: ...", or ""

Once all are there, a node that goes ends the run. Leaving the `with` tells every node how it has
ended, so that all exit alike. Left out on purpose: who is let in (meeting.py).
"""

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from verlaunch.cluster import shared_folder
from verlaunch.cluster.addresses import resolve
from verlaunch.cluster.facts import Node
from verlaunch.cluster.meeting import Meeting
from verlaunch.cluster.peer import POLL_S
from verlaunch.errors import UserError, raise_all
from verlaunch.text import capital, lasting

TOLD_EVERY_S = 30.0
PREPARE_S = 3600.0  # for a node to download the model
FAREWELL_S = 15.0  # for the nodes to end what they have started
LINGER_S = 4.0  # nodes call every second
COMPLETE_S = 30.0  # for nodes that start at the same time as we do, and have nothing to do either


def named(ranks: list[int]) -> str:
    """rank 1, ranks 2, 3"""
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"


class Leader(Meeting):
    code = 1  # the run's, for all nodes
    reason = ""

    def __enter__(self) -> "Leader":
        """Raises UserError when the port is taken."""
        self.open()
        return self

    def gather(
        self, folder: Path, models: Mapping[str, Path], env: Mapping[str, str], timeout_s: float
    ) -> list[Node]:
        """All nodes, this one first, when each sees `folder` and has the models.

        `env`: variables for their libraries. Raises UserError.
        """
        self._wait(timeout_s)
        self.begun = True  # who comes now has not heard what to prepare
        nonce = shared_folder.write(folder)
        try:
            self._prepare({"folder": str(folder), "nonce": nonce, "env": dict(env)}, models)
        finally:
            shared_folder.remove(folder, nonce)
        return [self.mine, *(self.members[rank].node for rank in sorted(self.members))]

    def _wait(self, timeout_s: float) -> None:
        until, next_words = time.monotonic() + timeout_s, time.monotonic()
        while missing := self.missing():
            raise_all(self.wrong)
            now = time.monotonic()
            if now > until:
                raise UserError(self._who_is_missing(missing, timeout_s))
            if now >= next_words:
                self.say(f"{self.count()}; waiting {lasting(until - now)} for {named(missing)}.")
                next_words = now + TOLD_EVERY_S
            time.sleep(POLL_S)

    def _who_is_missing(self, missing: list[int], timeout_s: float) -> str:
        turned_away = "; ".join(f"{who} had {why}" for who, why in self.refused.items())
        return (
            f"{self.count()}: missing {named(missing)} after {lasting(timeout_s)}. "
            + (f"Refused: {turned_away}. " if turned_away else "")
            + self._nobody()
            + f"Start the same command there with NODE_RANK={missing[0]} and "
            f"MASTER_ADDR={self.place.leader}; a firewall must let it reach {self.place.meeting}. "
            "More time: --join_timeout MINUTES."
        )

    def _nobody(self) -> str:
        """A name that is known elsewhere only, or a slip of the keyboard."""
        if resolve(self.place.leader):
            return ""
        return f"Here no machine is known as {self.place.leader}, which is {self.place.address}. "

    def _prepare(self, common: Mapping[str, Any], models: Mapping[str, Path]) -> None:
        wanted = {name: [str(at), shared_folder.fingerprint(at)] for name, at in models.items()}
        self._tell({"say": "prepare", "models": wanted, **common})
        folder, nonce = Path(common["folder"]), common["nonce"]
        self._until("ready", PREPARE_S)
        problems = []
        for rank, member in self.members.items():
            problems += [f"{capital(member.node)}: {p}" for p in member.said["ready"]["problems"]]
            if not member.said["ready"]["problems"] and not shared_folder.answered(
                folder, nonce, rank
            ):
                problems.append(f"{capital(member.node)}: {shared_folder.not_shared(folder)}")
        raise_all(problems)

    def _until(self, what: str, timeout_s: float) -> None:
        """Until every node has said it. Raises UserError when one goes or takes too long."""
        until = time.monotonic() + timeout_s
        while True:
            if trouble := self.trouble():
                raise UserError(f"{capital(trouble)}.")
            late = [m.node for m in self.members.values() if what not in m.said]
            if not late:
                return
            if time.monotonic() > until:
                who = " and ".join(map(str, late))
                raise UserError(f"{capital(who)} did not get ready within {lasting(timeout_s)}.")
            time.sleep(POLL_S)

    # The run

    def start(self, message: Callable[[Node], Mapping[str, Any]]) -> None:
        """Tells each node what to give to Ray."""
        for member in self.members.values():
            member.peer.send({"say": "start", **message(member.node)})

    def trouble(self) -> str:
        """A sentence's beginning about the first node that is lost or has failed; empty if none."""
        for member in self.members.values():
            member.read()
            if failed := member.said.get("failed"):
                return f"{member.node} failed: {failed['why']}"
            if how := member.peer.gone:
                return f"{member.node} is lost: {how}"
        return ""

    def asked(self) -> list[tuple[Node, int]]:
        """Nodes that were asked to stop since the last question, and by which signal."""
        found = []
        for member in self.members.values():
            member.read()
            if request := member.said.pop("asked", None):
                found.append((member.node, int(request["signal"])))
        return found

    def _tell(self, message: dict[str, Any]) -> None:
        for member in self.members.values():
            member.peer.send(message)

    # The end

    def _let_them_come(self, timeout_s: float) -> None:
        """Nodes that are calling hear how it ended, and need not wait for their own deadline."""
        until = time.monotonic() + timeout_s
        while not self.begun and self.missing() and time.monotonic() < until:
            time.sleep(POLL_S)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, UserError):
            self.code, self.reason = 2, error.problems[0]
            self._let_them_come(LINGER_S)
        elif isinstance(error, OSError):  # a full disk: see cli.py
            self.code, self.reason = 2, str(error)
            self._let_them_come(LINGER_S)
        elif error is None and not self.begun:  # the run was complete before
            self.say(f"Telling the other nodes, if they come within {lasting(COMPLETE_S)}.")
            self._let_them_come(COMPLETE_S)
        elif isinstance(error, KeyboardInterrupt):
            self.code = 128 + (error.args or (signal.SIGINT,))[0]
            self.reason = "node 0 was stopped"
        self.close()
        self._tell({"say": "end", "code": self.code, "reason": self.reason})
        until = time.monotonic() + FAREWELL_S
        while time.monotonic() < until and not all(m.peer.gone for m in self.members.values()):
            for member in self.members.values():
                member.read()
            time.sleep(0.1)
        for member in self.members.values():
            member.peer.close()
