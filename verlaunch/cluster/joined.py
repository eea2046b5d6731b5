"""What a node hears of the run once node 0 has taken it, and with which code it leaves.

    joined = Joined(peer)
    joined.wait_for("start")        ->  node 0's message, or None when the run is over
    joined.is_over(message)         ->  True after node 0's "end", and when node 0 is lost
    joined.code                     ->  the run's exit code

Left out on purpose: what the node does meanwhile (member_run.py).
"""

from typing import Any

from verlaunch.cluster.peer import Peer

POLL_S = 0.2


class Joined:
    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.code_of_run: int | None = None  # as soon as it is known

    @property
    def code(self) -> int:
        """1 where nobody has said."""
        return 1 if self.code_of_run is None else self.code_of_run

    def wait_for(self, what: str) -> dict[str, Any] | None:
        while True:
            message = self.peer.next(POLL_S)
            if message is not None and message.get("say") == what:
                return message
            if self.is_over(message):
                return None

    def is_over(self, message: dict[str, Any] | None) -> bool:
        """Whether the run has ended, by node 0's word or by its silence; says so."""
        if message is not None and message.get("say") == "end":
            self.code_of_run = int(message["code"])
            reason = f": {message['reason']}" if message.get("reason") else ""
            print(f"The run has ended with exit code {self.code}{reason}", flush=True)
            return True
        if how := self.peer.gone:
            self.code_of_run = 1
            print(f"Node 0 is lost: {how}. The same commands continue the run.", flush=True)
            return True
        return False
