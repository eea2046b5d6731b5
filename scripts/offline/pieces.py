"""One stream in files of at most N MiB, each of which says whose it is.

    with Writer(folder, bundle_id, 56 * MIB) as writer:   # folder/part-001, part-002, ...
        tarfile.open(fileobj=writer, mode="w|")
    damaged(folder, bundle_id, writer.pieces)            # ["part-002 is missing", ...]
    Reader(folder, writer.pieces).read(4096)

A piece begins with a line, `verlaunch bundle ID part-003`, so that one of another bundle is told
from a damaged one.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

MIB = 2**20
BLOCK = 4 * MIB


@dataclass(frozen=True)
class Piece:
    name: str
    bytes: int
    sha256: str


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def headline(bundle_id: str, name: str) -> bytes:
    return f"verlaunch bundle {bundle_id} {name}\n".encode()


class Writer:
    """A file to write to. `sha256` is that of everything written, without the headlines."""

    def __init__(self, folder: Path, bundle_id: str, piece_bytes: int) -> None:
        self.pieces: list[Piece] = []
        self._folder, self._id, self._limit = folder, bundle_id, piece_bytes
        self._file: BinaryIO | None = None
        self._name, self._size = "", 0
        self._digest, self._whole = hashlib.sha256(), hashlib.sha256()

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        self._whole.update(rest)
        while rest:
            if self._file is None:
                self._begin()
            fits = rest[: self._limit - self._size]
            self._put(fits)
            rest = rest[len(fits) :]
            if self._size == self._limit:
                self._end()
        return len(data)

    def _begin(self) -> None:
        self._name = f"part-{len(self.pieces) + 1:03d}"
        self._file = (self._folder / self._name).open("wb")
        self._size, self._digest = 0, hashlib.sha256()
        self._put(memoryview(headline(self._id, self._name)))

    def _put(self, data: memoryview) -> None:
        assert self._file is not None
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self.pieces.append(Piece(self._name, self._size, self._digest.hexdigest()))

    @property
    def sha256(self) -> str:
        return self._whole.hexdigest()

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()


class Reader:
    """The stream again. `sha256` is that of what has been read."""

    def __init__(self, folder: Path, pieces: Sequence[Piece]) -> None:
        self._paths = [folder / piece.name for piece in pieces]
        self._file: BinaryIO | None = None
        self._whole = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """`size` bytes, fewer at the end of the last piece alone."""
        found = bytearray()
        while len(found) < size and (self._file or self._paths):
            if self._file is None:
                self._file = self._paths.pop(0).open("rb")
                self._file.readline()
            block = self._file.read(size - len(found))
            if not block:
                self._file.close()
                self._file = None
            found += block
        self._whole.update(found)
        return bytes(found)

    @property
    def sha256(self) -> str:
        return self._whole.hexdigest()


def damaged(folder: Path, bundle_id: str, pieces: Sequence[Piece]) -> list[str]:
    """A sentence for each piece that is missing, damaged or of another bundle."""
    told = [told for piece in pieces if (told := _damage(folder / piece.name, bundle_id, piece))]
    names = {piece.name for piece in pieces}
    strange = sorted(path.name for path in folder.glob("part-*") if path.name not in names)
    return told + [f"{name} is not one of this bundle's {len(pieces)} pieces" for name in strange]


def _damage(path: Path, bundle_id: str, piece: Piece) -> str:
    if not path.is_file():
        return f"{piece.name} is missing"
    expected = headline(bundle_id, piece.name)
    with path.open("rb") as file:
        first = file.readline(len(expected) + 100)
    words = first.split()
    if first != expected and words[:2] == [b"verlaunch", b"bundle"]:
        whose = b" ".join(words[2:]).decode(errors="replace")
        return f"{piece.name} is foreign: it says it is {whose}, this bundle is {bundle_id}"
    if (size := path.stat().st_size) != piece.bytes:
        return f"{piece.name} is damaged: {size} bytes, {piece.bytes} were sent"
    if sha256_of(path) != piece.sha256:
        return f"{piece.name} is damaged: its SHA-256 is another"
    return ""
