"""Node 0's side of a running run: what the leader is to the launcher's loop.

    with leading(place, token, config, machine, folder, say) as nodes:   # None of one machine
        nodes.gather({"model": model_folder})
        run(launch, screen, nodes=nodes)

The other machines start their part of Ray when the head is up, which an event of the driver tells.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from verlaunch.cluster import facts, tokens
from verlaunch.cluster.facts import Node
from verlaunch.cluster.leader import Leader
from verlaunch.cluster.place import Place
from verlaunch.config.tree import Config
from verlaunch.machine import variables
from verlaunch.machine.hardware import Machine
from verlaunch.record.channel import EVENTS, Tail
from verlaunch.text import capital


class Leading:
    def __init__(self, leader: Leader, config: Config, folder: Path) -> None:
        self.leader, self.config, self.folder = leader, config, folder
        self.nodes: list[Node] = []
        self.ray: dict[str, Any] = {}
        self.events: Tail | None = None

    def gather(self, models: Mapping[str, Path]) -> None:
        """Until all nodes are here and ready. Raises UserError."""
        timeout_s = 60 * self.config.launch["join_timeout"]
        env = {**variables.to_hand(os.environ), **self.environment()}
        self.nodes = self.leader.gather(self.folder, models, env, timeout_s)
        if note := facts.unlike(self.nodes):
            self.leader.say(note)

    def prepare_start(self, cpus: int, gpus: int, object_store_bytes: int) -> None:
        """What the other machines give to Ray, as soon as there is an address to give it to."""
        self.ray = {
            "hardware": self.config.hardware,
            "ray_cpus": cpus,
            "ray_gpus": gpus,
            "object_store_bytes": object_store_bytes,
        }
        self.events = Tail(self.folder / EVENTS, from_end=True)

    def environment(self) -> dict[str, str]:
        return {tokens.VARIABLE: self.leader.token}

    def look(self) -> list[int]:
        """Once a moment: starts the nodes when Ray's head is up; signals that nodes have passed
        on."""
        assert self.events is not None
        for event in self.events.new():
            if event["event"] == "head":
                self._start(event["address"])
        asked = self.leader.asked()
        for node, number in asked:
            name = signal.Signals(number).name
            self.leader.say(f"{capital(node)} was asked to stop by {name}.")
        return [number for _, number in asked]

    def trouble(self) -> str:
        return self.leader.trouble()

    def _start(self, gcs: str) -> None:
        def message(node: Node) -> dict[str, Any]:
            theirs = {name: getattr(node, name) for name in ("rank", "address", "interface")}
            place = {**asdict(self.leader.place), **theirs}
            return {"ray": {**self.ray, "gcs": gcs, "place": place}}

        self.leader.start(message)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


@contextmanager
def _stopped_like_ctrl_c() -> Iterator[None]:
    """Until the run heeds signals itself: who waits for us would hear nothing from a killed one."""
    heeded = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) == signal.SIG_DFL]
    for number in heeded:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def leading(
    where: Place | None,
    given: str | None,
    config: Config,
    machine: Machine,
    folder: Path,
    say: Callable[[str], None],
) -> Iterator[Leading | None]:
    """Waits for the other machines from here on.

    `where`: None for a run of one machine. `given`: the token, where the user has one.
    """
    if where is None:
        yield None
        return
    token = given or tokens.made(folder)
    file = folder / tokens.FILE
    hint = (
        "All machines need the token that this one was given."
        if given
        else f"The run's token is in {file}; hand it over with {tokens.VARIABLE} or --token_file."
    )
    mine = facts.of(config, where, machine)
    with _stopped_like_ctrl_c(), Leader(where, mine, token, say, hint) as leader:
        yield Leading(leader, config, folder)
    if leader.code == 0:
        tokens.forget(folder)
