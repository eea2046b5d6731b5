"""bundle.json: what a bundle is for, what it holds, and every hash.

    manifest = read("/media/stick/bundle")
    manifest.python, manifest.hardware    # "3.12", "gpu"
    manifest.wheels["ray-2.60.0-...whl"]  # its SHA-256

`id` is made from the settings and the wheels' hashes: the same content has the same id.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pins import Refused

NAME = "bundle.json"
FORMAT = 2
BLOCK = 4 << 20  # bytes


@dataclass(frozen=True)
class Manifest:
    hardware: str
    python: str
    glibc: str
    lock_sha256: str
    pins: dict[str, str]
    on_target: dict[str, str]
    left_out: dict[str, str]
    wheels: dict[str, str] = field(default_factory=dict)  # SHA-256 by file name
    pieces: dict[str, str] = field(default_factory=dict)  # of a tar of the wheels, the same
    id: str = ""
    format: int = FORMAT


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def id_of(manifest: Manifest) -> str:
    what = (manifest.hardware, manifest.python, manifest.lock_sha256, manifest.on_target)
    text = json.dumps([*what, manifest.left_out, sorted(manifest.wheels.items())], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def write(folder: Path, manifest: Manifest) -> None:
    text = json.dumps(asdict(manifest), indent=1) + "\n"
    new = folder / f"{NAME}.new"
    new.write_text(text, encoding="utf-8")
    new.replace(folder / NAME)


def read(folder: Path) -> Manifest:
    path = folder / NAME
    if not path.is_file():
        raise Refused(
            f"{path} not found. It lies beside the wheels or pieces that "
            "scripts/offline_bundle.sh make wrote: copy it too."
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields["format"] != FORMAT:
            raise Refused(
                f"{path} has format {fields['format']}, this checkout reads {FORMAT}: make and "
                "install with the same version of the project."
            )
        return Manifest(**fields)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused(f"{path} is damaged ({error}): copy it again.") from None
