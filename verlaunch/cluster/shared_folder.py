"""Whether machines see the same folder, and the same model: asked by writing and reading.

    nonce = probe.write(folder)                      # node 0
    probe.answer(folder, nonce, rank)  ->  True      # node 1: it was there, and so is the answer
    probe.answered(folder, nonce, rank) ->  True     # node 0
    probe.fingerprint(model_folder)    ->  "9f2c..."

A network disk may show a new file some seconds late, so both sides look again for a while.
"""

import contextlib
import hashlib
import secrets
import time
from pathlib import Path

PATIENCE_S = 10.0
POLL_S = 0.2
WEIGHTS = ("*.safetensors", "*.bin", "*.json", "*.jinja", "*.model", "*.txt")


def _file(folder: Path, nonce: str, rank: int | None = None) -> Path:
    return folder / "logs" / (f"probe-{nonce}" + ("" if rank is None else f"-{rank}"))


def write(folder: Path) -> str:
    nonce = secrets.token_hex(4)
    file = _file(folder, nonce)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(nonce)
    return nonce


def answer(folder: Path, nonce: str, rank: int) -> bool:
    if not _appears(_file(folder, nonce), nonce):
        return False
    try:
        _file(folder, nonce, rank).write_text(str(rank))
    except OSError:
        return False
    return True


def answered(folder: Path, nonce: str, rank: int) -> bool:
    return _appears(_file(folder, nonce, rank), str(rank))


def remove(folder: Path, nonce: str) -> None:
    for file in (folder / "logs").glob(f"probe-{nonce}*"):
        with contextlib.suppress(OSError):
            file.unlink()


def _appears(file: Path, text: str) -> bool:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            list(file.parent.iterdir())  # makes NFS look at the folder afresh
            if file.read_text() == text:
                return True
        time.sleep(POLL_S)
    return False


def not_shared(folder: Path) -> str:
    """Of a node that has not answered; the rest of a sentence about it."""
    return (
        f"it does not see node 0's {folder}, or may not write there. Each machine saves its part "
        "of a checkpoint there, and a run continues from all of them. Put it on a disk that all "
        "machines share at the same path: --output_dir /SHARED/FOLDER."
    )


def fingerprint(folder: Path) -> str:
    """Of a model's files by name and size, and of its config.json; empty where there is none.

    Weights of hundreds of gigabytes are not read for it.
    """
    files = sorted({file for kind in WEIGHTS for file in folder.glob(kind)})
    if not files:
        return ""
    digest = hashlib.sha256()
    for file in files:
        with contextlib.suppress(OSError):
            digest.update(f"{file.name} {file.stat().st_size}\0".encode())
    with contextlib.suppress(OSError):
        digest.update((folder / "config.json").read_bytes())
    return digest.hexdigest()[:12]
