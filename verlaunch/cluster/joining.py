"""How a node comes to node 0: waits until it answers, proves the token, and says who it is.

    place = find(config, until)
    peer = join(place, me, token, launch, folder, until)

Nodes start in any order, so that nothing is amiss while node 0 is not there: only the deadline ends
the wait. A refusal ends it at once, with what to do about it.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from verlaunch.cluster import place as places
from verlaunch.cluster import tokens, wire
from verlaunch.cluster.facts import Node
from verlaunch.cluster.peer import Peer
from verlaunch.cluster.place import Place, UnknownLeader
from verlaunch.config.tree import Config
from verlaunch.errors import UserError, raise_all

CALL_S = 5.0
RETRY_S = 1.0
TOKEN_S = 10.0  # for a network disk to show the token that node 0 has just written
WELCOME_S = 30.0
IN_TIME = "More time: --join_timeout MINUTES."


def find(config: Config, until: float) -> Place:
    """Raises UserError; the name of node 0 may become known while we wait."""
    told = False
    while True:
        try:
            return places.of(config)
        except UnknownLeader as unknown:
            if time.monotonic() > until:
                raise UserError(f"{unknown.problems[0]} {IN_TIME}") from None
            if not told:
                print(f"Waiting: {unknown.problems[0]}", flush=True)
            told = True
            time.sleep(RETRY_S)


def join(
    place: Place,
    me: Node,
    given: str | None,
    launch: Mapping[str, Any],
    folder: Path,
    until: float,
) -> Peer:
    """`given`: the token, where the user has one; else node 0 shares it in `folder`.

    Raises UserError where node 0 does not come in time, or refuses us.
    """
    minutes = launch["join_timeout"]
    print(f"Waiting for node 0 at {place.meeting}, for {minutes:g} min at most.", flush=True)
    while True:
        try:
            return _introduce(_call(place, given, launch, folder), me)
        except (OSError, wire.Broken) as error:
            if time.monotonic() > until:
                raise UserError(_no_leader(place, minutes, error)) from None
            time.sleep(RETRY_S)


def _call(place: Place, given: str | None, launch: Mapping[str, Any], folder: Path) -> wire.Line:
    """Raises OSError and Broken while node 0 is not there, UserError where it refuses us."""
    until = time.monotonic() + TOKEN_S
    while True:
        try:
            token = given or tokens.shared(folder)
            return wire.call(place.leader, place.port, token, CALL_S)
        except wire.Refused as refused:
            if given or time.monotonic() > until:
                raise UserError(_refused(place, str(refused), launch, folder)) from None
            time.sleep(RETRY_S)


def _introduce(line: wire.Line, me: Node) -> Peer:
    line.send({"say": "hello", "node": asdict(me)})
    answer = line.receive(WELCOME_S) or {}
    if answer.get("say") == "welcome":
        print("Joined. The run's screen is on node 0; this node ends with it.", flush=True)
        return Peer(line)
    line.close()
    raise_all(me.problems)
    raise UserError(f"Node 0 does not take this node: {answer.get('why', 'it gave no answer')}.")


def _refused(place: Place, why: str, launch: Mapping[str, Any], folder: Path) -> str:
    if why == wire.NO_TOKEN:
        return (
            f"Node 0 at {place.meeting} takes only who has the run's token, and there is none "
            f"here: not in {tokens.VARIABLE}, not by --token_file, and not in "
            f"{folder / tokens.FILE}, where node 0 writes it. Every machine has to see node 0's "
            f"--output_dir at the same path. Else: {tokens.HAND_OVER}"
        )
    source = tokens.source(launch, os.environ, folder)
    return f"Node 0 at {place.meeting} has another token than {source}. {tokens.HAND_OVER}"


def _no_leader(place: Place, minutes: float, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return (
        f"Node 0 did not answer at {place.meeting} within {minutes:g} min ({reason}). Start the "
        "same command there with NODE_RANK=0; a firewall must let this machine reach that port. "
        f"{IN_TIME}"
    )
