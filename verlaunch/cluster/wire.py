"""A line between two machines of a run: messages that only who has the run's token can read.

    line = call("10.0.0.1", 29500, token, timeout_s=5)     # a node
    line = answer(connection, token)                       # the leader, for an accepted socket
    line.send({"say": "beat"});  line.receive(timeout_s=1)   ->  {"say": "beat"}, or None

Both sides prove the token to each other before either says anything else (HMAC-SHA256 over two
fresh nonces; the token itself is never sent), and a key for what follows is drawn from token and
nonces (HKDF; Fernet seals each message). Messages are JSON. Left out on purpose: reconnecting. A
line that breaks is a node that is lost.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import select
import socket
import struct
import threading
import time
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

Message = dict[str, Any]
GREETING = "verlaunch 1"
HANDSHAKE_S = 10.0
SEND_S = 10.0
LONGEST = 4 << 20  # bytes of a message
LONGEST_GREETING = 4096  # of one by whom we do not know yet
NO_TOKEN, WRONG_TOKEN = "no token", "a wrong token"


class Broken(Exception):
    """The line has ended: closed by the other side, cut, or unreadable."""


class Refused(Exception):
    """One side did not prove that it has the token; the words say which and how."""


class Line:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.sealed: Fernet | None = None
        self.rest = b""
        self.sending = threading.Lock()

    def send(self, message: Message) -> None:
        """Raises Broken."""
        body = json.dumps(message).encode()
        body = self.sealed.encrypt(body) if self.sealed else body
        try:
            with self.sending:
                self.connection.settimeout(SEND_S)
                self.connection.sendall(struct.pack("!I", len(body)) + body)
        except OSError as error:
            raise Broken(str(error)) from None

    def receive(self, timeout_s: float) -> Message | None:
        """The next message; None when none came in time. Raises Broken."""
        until = time.monotonic() + timeout_s
        while (body := self._whole()) is None:
            left = until - time.monotonic()
            if left <= 0 or not self._readable(left):
                return None
            self._read()
        return self._opened(body)

    def _readable(self, timeout_s: float) -> bool:
        try:
            return bool(select.select([self.connection], [], [], timeout_s)[0])
        except (OSError, ValueError) as error:  # closed by us meanwhile
            raise Broken(str(error)) from None

    def _read(self) -> None:
        try:
            piece = self.connection.recv(65536)
        except OSError as error:
            raise Broken(str(error)) from None
        if not piece:
            raise Broken("closed by the other side")
        self.rest += piece

    def _whole(self) -> bytes | None:
        if len(self.rest) < 4:
            return None
        (size,) = struct.unpack("!I", self.rest[:4])
        if size > (LONGEST if self.sealed else LONGEST_GREETING):
            raise Broken("what came is not of this program")
        if len(self.rest) < 4 + size:
            return None
        body, self.rest = self.rest[4 : 4 + size], self.rest[4 + size :]
        return body

    def _opened(self, body: bytes) -> Message:
        try:
            message = json.loads(self.sealed.decrypt(body) if self.sealed else body)
        except (ValueError, RecursionError, InvalidToken):
            raise Broken("what came is not of this program") from None
        if not isinstance(message, dict):
            raise Broken("what came is not of this program")
        return message

    def seal(self, token: str, nonces: str) -> None:
        derived = HKDF(SHA256(), 32, salt=nonces.encode(), info=GREETING.encode())
        self.sealed = Fernet(base64.urlsafe_b64encode(derived.derive(token.encode())))

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it is cut already
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def _proof(token: str, side: str, nonces: str) -> str:
    return hmac.new(token.encode(), f"{side} {nonces}".encode(), hashlib.sha256).hexdigest()


def _expected(line: Line) -> Message:
    """Plain words only: compare_digest takes no others, and they come from anybody."""
    if (message := line.receive(HANDSHAKE_S)) is None:
        raise Broken("no answer")
    if not all(isinstance(word, str) and word.isascii() for word in message.values()):
        raise Broken("what came is not of this program")
    return message


def call(address: str, port: int, token: str | None, timeout_s: float) -> Line:
    """Raises OSError where nobody listens, Broken where the line ends, Refused."""
    line = Line(socket.create_connection((address, port), timeout_s))
    try:
        _prove(line, token)
    except BaseException:
        line.close()
        raise
    return line


def _prove(line: Line, token: str | None) -> None:
    greeting = _expected(line)
    if greeting.get("greeting") != GREETING:
        raise Broken(f"{greeting.get('greeting', 'another program')} answers there")
    mine = secrets.token_hex(16)
    nonces = f"{greeting.get('nonce')} {mine}"
    proof = _proof(token, "node", nonces) if token else ""
    line.send({"nonce": mine, "proof": proof})
    answer = _expected(line)
    if "refused" in answer:
        raise Refused(str(answer["refused"]))
    theirs = str(answer.get("proof"))
    if not token or not hmac.compare_digest(theirs, _proof(token, "leader", nonces)):
        raise Refused("the leader has another token")
    line.seal(token, nonces)


def answer(connection: socket.socket, token: str) -> Line:
    """Raises Broken and Refused, and then closes the connection."""
    line = Line(connection)
    try:
        _ask(line, token)
    except BaseException:
        line.close()
        raise
    return line


def _ask(line: Line, token: str) -> None:
    mine = secrets.token_hex(16)
    line.send({"greeting": GREETING, "nonce": mine})
    theirs = _expected(line)
    nonces = f"{mine} {theirs.get('nonce')}"
    if not hmac.compare_digest(str(theirs.get("proof")), _proof(token, "node", nonces)):
        why = WRONG_TOKEN if theirs.get("proof") else NO_TOKEN
        line.send({"refused": why})
        raise Refused(why)
    line.send({"proof": _proof(token, "leader", nonces)})
    line.seal(token, nonces)
