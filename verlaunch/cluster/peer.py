"""The machine at the other end of a line: what it says, and whether it is still there.

    peer = Peer(line)
    peer.send({"say": "start", ...});  peer.next(timeout_s=1)  ->  {"say": "joined"} or None
    peer.gone   ->  "" while it is there, else how it was lost

    joined = Joined(peer)       # what a node hears of the run; node 0 has no need of it
    joined.wait_for("start")        ->  node 0's message, or None when the run is over
    joined.code                     ->  the run's exit code, as soon as it is over

Both sides beat every two seconds. A process that ends closes its line, which shows at once; a cable
that is pulled, or a machine that stops, shows as silence. Two threads each, which mostly sleep.
"""

import queue
import threading
import time

from verlaunch.cluster.wire import Broken, Line, Message

BEAT_S = 2.0
SILENCE_S = 15.0  # a busy machine may miss some beats
POLL_S = 0.5
ASK_S = 0.2  # for one message
BEAT = {"say": "beat"}


class Peer:
    def __init__(self, line: Line) -> None:
        self.line = line
        self.inbox: queue.Queue[Message] = queue.Queue()
        self.heard = time.monotonic()
        self.over = threading.Event()
        self._gone = ""
        for loop in (self._listen, self._beat):
            threading.Thread(target=loop, daemon=True).start()

    @property
    def gone(self) -> str:
        """How it was lost, once all that it has said is read."""
        return self._gone if self.inbox.empty() else ""

    def send(self, message: Message) -> None:
        """What a lost peer should have heard is dropped: `gone` tells."""
        try:
            self.line.send(message)
        except Broken as error:
            self._lose(f"its connection broke ({error})")

    def next(self, timeout_s: float = 0.0) -> Message | None:
        try:
            return self.inbox.get(timeout=timeout_s) if timeout_s else self.inbox.get_nowait()
        except queue.Empty:
            return None

    def close(self) -> None:
        self.over.set()
        self.line.close()

    def _listen(self) -> None:
        while not self.over.is_set():
            try:
                message = self.line.receive(POLL_S)
            except Broken:
                self._lose("its connection was closed: its process has ended")
                return
            if message is not None:
                self.heard = time.monotonic()
                if message != BEAT:
                    self.inbox.put(message)
            elif time.monotonic() - self.heard > SILENCE_S:
                self._lose(f"nothing was heard of it for {SILENCE_S:g} s")
                return

    def _beat(self) -> None:
        while not self.over.wait(BEAT_S):
            self.send(BEAT)

    def _lose(self, how: str) -> None:
        if not self.over.is_set():
            self._gone = self._gone or how
        self.over.set()


class Joined:
    """Node 0, to a node that it has taken. code: the one to leave with."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.code_of_run: int | None = None  # as soon as it is known

    @property
    def code(self) -> int:
        """1 where nobody has said."""
        return 1 if self.code_of_run is None else self.code_of_run

    def wait_for(self, what: str) -> Message | None:
        """Node 0's message; None when the run is over."""
        while True:
            message = self.peer.next(ASK_S)
            if message is not None and message.get("say") == what:
                return message
            if self.is_over(message):
                return None

    def hears_the_end(self) -> bool:
        """Waits a moment for a message; any but the end is of no use here."""
        return self.is_over(self.peer.next(ASK_S))

    def is_over(self, message: Message | None) -> bool:
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
