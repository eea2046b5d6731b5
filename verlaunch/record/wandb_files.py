"""What an earlier start left of this run in wandb's offline files, cut to what the run keeps.

    cut(Path("outputs/trackers/wandb"), last_step=40)    # of a start that was killed at step 51

The next start logs steps 41 to 51 again. `wandb sync` stops at a torn end, and numbers what comes
after the steps that it has sent, so those must go before it: each step then stands in one file, and
every file ends whole. What is cut off is kept beside it (.lost). Left out on purpose: files that
were sent already (.synced), and those of runs that had a key.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEADER, BLOCK, CHUNK = 7, 1 << 15, 7  # bytes; wandb writes LevelDB's log format
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(where it ends, its bytes) of each whole record; a torn one ends them."""
    at, parts = HEADER, b""
    while at + CHUNK <= len(data):
        if (room := BLOCK - at % BLOCK) < CHUNK:
            at += room
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        if kind not in (WHOLE, FIRST, MIDDLE, LAST) or at + CHUNK + length > len(data):
            return
        parts += data[at + CHUNK : at + CHUNK + length]
        at += CHUNK + length
        if kind in (WHOLE, LAST):
            yield at, parts
            parts = b""


def _kept(data: bytes, last_step: int) -> int:
    """How many bytes of a file hold nothing beyond that step."""
    from wandb.proto import wandb_internal_pb2

    pb: Any = wandb_internal_pb2  # its names are made when it is imported
    end = HEADER
    for ends_at, whole in records(data):
        record = pb.Record.FromString(whole)
        if record.WhichOneof("record_type") == "history" and record.history.step.num > last_step:
            return end
        end = ends_at
    return end


def cut(folder: Path, last_step: int) -> None:
    for file in sorted(folder.glob("offline-run-*/run-*.wandb")):
        if file.with_name(f"{file.name}.synced").exists():
            continue
        data = file.read_bytes()
        if (end := _kept(data, last_step)) < len(data):
            with file.with_name(f"{file.name}.lost").open("ab") as lost:
                lost.write(data[end:])
            with file.open("r+b") as kept:
                kept.truncate(end)
