"""A node that joins: finds the leader, gives its processes to the run, and ends as the run ends.

    take_part(Asked(config, machine))    ->  the leader's exit code

It checks its own machine with the same guards as node 0 does, sees to it that the model is here,
and starts Ray's part of the cluster under a guardian. The run's screen is on node 0.
Left out on purpose: data and rewards, which node 0 alone reads and asks.
"""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from verlaunch.cluster import facts, joining, shared_folder, tokens
from verlaunch.cluster.peer import Joined, Peer
from verlaunch.cluster.place import Place
from verlaunch.errors import UserError, raise_all, stopping
from verlaunch.inputs.choice import Inputs
from verlaunch.launch import head_start
from verlaunch.launch.member_run import Part, work
from verlaunch.plan import guards
from verlaunch.plan.asked import Asked
from verlaunch.plan.foresight import of_member
from verlaunch.plan.outlook import Outlook
from verlaunch.text import row


def take_part(asked: Asked) -> int:
    """Raises UserError for what is wrong here; node 0 has been told then."""
    raise_all(stopping(guards.findings(guards.TYPED, asked.config)))
    token = tokens.given(asked.launch, os.environ)  # one that is wrong is told before the wait
    until = time.monotonic() + 60 * asked.launch["join_timeout"]
    place = joining.find(asked.config, until)
    outlook = of_member(asked, place)
    _tell(outlook)
    me = facts.of(asked.config, place, asked.machine, outlook.problems)
    peer = joining.join(place, me, token, asked.launch, asked.folder, until)
    try:
        return _work(asked, place, peer)
    finally:
        peer.close()


def _tell(outlook: Outlook) -> None:
    print(row("node", str(outlook.place)))
    for label, sentences in (("warning", outlook.warnings), ("note", outlook.config.notes)):
        for sentence in sentences:
            print(row(label, sentence))


def _work(asked: Asked, place: Place, peer: Peer) -> int:
    """From the leader's question whether this node is ready to the end of the run."""
    joined, rank = Joined(peer), asked.launch["node_rank"]
    wanted = joined.wait_for("prepare")
    if wanted is None:
        return joined.code
    problems = _unready_while(joined, asked, wanted)
    peer.send({"say": "ready", "problems": problems})
    folder = Path(wanted["folder"], "nodes", str(rank))
    early = not problems and head_start.pays(asked.config.hardware, asked.launch)
    try:
        work(joined, Part(folder, place, wanted["env"], early))
    except UserError as error:  # such as an earlier attempt here that has not ended yet
        peer.send({"say": "failed", "why": error.problems[0].rstrip(".")})
        raise
    return joined.code


def _unready_while(joined: Joined, asked: Asked, wanted: dict[str, Any]) -> list[str]:
    """A download is no reason to stay when the run has ended: then this process ends."""
    answer = ThreadPoolExecutor(1).submit(_unready, asked, wanted)
    while not answer.done():
        if joined.hears_the_end():
            sys.stdout.flush()
            os._exit(joined.code)  # what downloads has threads that would be waited for
    return answer.result()


def _unready(asked: Asked, wanted: dict[str, Any]) -> list[str]:
    """Why this node is not ready; it may take a download to say."""
    problems = []
    try:
        problems += [p for p in _models(asked.inputs, wanted["models"]) if p]
    except UserError as error:
        problems += error.problems
    folder = Path(wanted["folder"])
    seen = shared_folder.answer(folder, wanted["nonce"], asked.launch["node_rank"])
    return problems if seen else [*problems, shared_folder.not_shared(folder)]


def _models(inputs: Inputs, wanted: dict[str, list[str]]) -> list[str]:
    policy = wanted["model"]
    here = _here(policy) or inputs.model_folder()
    found = [_other_place("--model", policy, here)]
    if "critic" in wanted:
        critic = _here(wanted["critic"]) or inputs.critic_folder(here)
        found.append(_other_place("--critic_model", wanted["critic"], critic))
    return found


def _here(wanted: list[str]) -> Path | None:
    folder, fingerprint = Path(wanted[0]), wanted[1]
    return folder if shared_folder.fingerprint(folder) == fingerprint else None


def _other_place(flag: str, wanted: list[str], here: Path) -> str:
    if str(here) != wanted[0]:
        return (
            f"its model lies in {here}, and on node 0 in {wanted[0]}. Name a folder that has the "
            f"same path everywhere with {flag} FOLDER, or give every machine the same HF_HOME and "
            "VERLAUNCH_CACHE."
        )
    if shared_folder.fingerprint(here) != wanted[1]:
        return f"its files in {here} are not those of node 0. Copy that folder from there."
    return ""
