"""A node that joins: finds the leader, gives its processes to the run, and ends as the run ends.

    Member(config, machine, command).run()  ->  the leader's exit code

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

from verlaunch.cluster import facts, joining, probe, tokens
from verlaunch.cluster.joined import POLL_S, Joined
from verlaunch.cluster.peer import Peer
from verlaunch.cluster.place import Place
from verlaunch.cluster.words import not_shared
from verlaunch.errors import UserError, raise_all, stopping, warnings
from verlaunch.launch.member_run import work
from verlaunch.plan import guards
from verlaunch.plan.foresight import Foresight
from verlaunch.text import row


class Member(Foresight):
    def run(self) -> int:
        """Raises UserError for what is wrong here; node 0 has been told then."""
        raise_all(stopping(guards.findings(guards.TYPED, self.config)))
        tokens.given(self.launch, os.environ)  # one that is wrong is told before the wait
        until = time.monotonic() + 60 * self.launch["join_timeout"]
        self.place = joining.find(self.config, until)
        problems = self._own_problems()
        self._tell(self.place)
        me = facts.of(self.config, self.place, self.machine, problems)
        peer = joining.join(self.place, me, self.launch, self.folder, until)
        try:
            return self._take_part(peer)
        finally:
            peer.close()

    def _tell(self, place: Place) -> None:
        print(row("node", str(place)))
        for label, sentences in (("warning", self._warnings), ("note", self.config.notes)):
            for sentence in sentences:
                print(row(label, sentence))

    def _own_problems(self) -> list[str]:
        """What the guards say of this machine. Rows are not known here, nor needed for that."""
        try:
            model = self.inputs.model()
        except UserError as error:  # not here; node 0, which may have it, has to hear of that
            return list(error.problems)
        sizes = self._sizes_of(model)
        planned = self._plan(model, sizes, 1, False, "", None, ())
        scene = self._scene(planned, model, sizes)
        found = guards.findings([*guards.NUMBERS, *guards.GUARDS], scene)
        self._warnings = tuple(warnings(found))
        return stopping(found)

    def _take_part(self, peer: Peer) -> int:
        joined = Joined(peer)
        asked = joined.wait_for("prepare")
        if asked is None:
            return joined.code
        peer.send({"say": "ready", "problems": self._unready_while(joined, asked)})
        start = joined.wait_for("start")
        if start is None:
            return joined.code
        try:
            work(joined, start, Path(asked["folder"], "nodes", str(self.launch["node_rank"])))
        except UserError as error:  # such as an earlier attempt here that has not ended yet
            peer.send({"say": "failed", "why": error.problems[0].rstrip(".")})
            raise
        return joined.code

    def _unready_while(self, joined: Joined, asked: dict[str, Any]) -> list[str]:
        """A download is no reason to stay when the run has ended: then this process ends."""
        answer = ThreadPoolExecutor(1).submit(self._unready, asked)
        while not answer.done():
            if joined.is_over(joined.peer.next(POLL_S)):
                sys.stdout.flush()
                os._exit(joined.code)  # what downloads has threads that would be waited for
        return answer.result()

    def _unready(self, asked: dict[str, Any]) -> list[str]:
        """Why this node is not ready; it may take a download to say."""
        problems = []
        try:
            problems += [p for p in self._models(asked["models"]) if p]
        except UserError as error:
            problems += error.problems
        seen = probe.answer(Path(asked["folder"]), asked["nonce"], self.launch["node_rank"])
        return problems if seen else [*problems, not_shared(Path(asked["folder"]))]

    def _models(self, wanted: dict[str, list[str]]) -> list[str]:
        policy = wanted["model"]
        here = self._here(policy) or self.inputs.model_folder()
        found = [_other_place("--model", policy, here)]
        if "critic" in wanted:
            critic = self._here(wanted["critic"]) or self.inputs.critic_folder(here)
            found.append(_other_place("--critic_model", wanted["critic"], critic))
        return found

    @staticmethod
    def _here(wanted: list[str]) -> Path | None:
        folder, fingerprint = Path(wanted[0]), wanted[1]
        return folder if probe.fingerprint(folder) == fingerprint else None


def _other_place(flag: str, wanted: list[str], here: Path) -> str:
    if str(here) != wanted[0]:
        return (
            f"its model lies in {here}, and on node 0 in {wanted[0]}. Name a folder that has the "
            f"same path everywhere with {flag} FOLDER, or give every machine the same HF_HOME and "
            "VERLAUNCH_CACHE."
        )
    if probe.fingerprint(here) != wanted[1]:
        return f"its files in {here} are not those of node 0. Copy that folder from there."
    return ""
