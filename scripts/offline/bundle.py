"""The steps of scripts/offline_bundle.sh that are more than a call of pip.

    python bundle.py plan DIR --lock locks/gpu.txt --hardware gpu --python 3.12   # DIR/pins.txt
    python bundle.py pack DIR --piece_mib 56   # DIR/wheels -> bundle.json and part-001, ...
    python bundle.py unpack DIR                # verified, joined: DIR/wheels, DIR/pins.txt
    python bundle.py needed DIR                # what this Python's environment lacks of them

Exit code 2 and one message for what the user can mend.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import bundle_json as manifests
from bundle_json import Manifest, sha256_of
from pins import Refused, choose, is_good, normal, read_freeze, read_lock

OURS = """
    bundle.json bundle.json.new pins.txt wanted.txt torch.txt cuda.txt needed.txt
    make.log install.log wheels built
"""


def plan(arguments: argparse.Namespace) -> None:
    folder: Path = arguments.folder
    _refuse_strangers(folder)
    have = read_freeze(arguments.have) if arguments.have else {}
    chosen = choose(arguments.lock, arguments.python, have, arguments.minimal)
    manifest = Manifest(
        hardware=arguments.hardware,
        python=arguments.python,
        glibc=arguments.glibc,
        lock_sha256=sha256_of(arguments.lock),
        pins=chosen.pins,
        on_target=chosen.on_target,
        left_out=chosen.left_out,
    )
    _keep_what_fits(folder, manifest)
    manifests.write(folder, manifest)
    _write_wanted(folder, arguments, chosen.pins)
    said = f"{len(chosen.pins)} packages of {arguments.lock.name} for Python {arguments.python}"
    if have:
        said += f", {len(chosen.on_target)} are on the target"
    if arguments.minimal:
        said += f", {len(chosen.left_out)} left out as text-only"
    print(f"{said}.")


def _refuse_strangers(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name not in OURS.split() and not path.name.startswith("part-"):
            raise Refused(f"{folder} holds other files ({path.name}). Name a new or empty folder.")


def _keep_what_fits(folder: Path, planned: Manifest) -> None:
    """Wheels of an earlier make for the same machine and lock; everything else goes."""
    try:
        before = manifests.read(folder)
    except Refused:
        before = None
    wheels = folder / "wheels"
    same = ("hardware", "python", "glibc", "lock_sha256")
    if before is None or any(getattr(before, key) != getattr(planned, key) for key in same):
        shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(exist_ok=True)
    for path in wheels.iterdir():
        name, version = name_and_version(path.name)
        if path.suffix != ".whl" or not is_good(version, planned.pins.get(name, "")):
            path.unlink()
    for path in folder.glob("part-*"):
        path.unlink()


def name_and_version(wheel: str) -> tuple[str, str]:
    """("nvidia-cublas", "13.1.0.3") for nvidia_cublas-13.1.0.3-py3-none-any.whl."""
    words = wheel.split("-")
    return normal(words[0]), words[1] if len(words) > 1 else ""


def _write_wanted(folder: Path, arguments: argparse.Namespace, pins: dict[str, str]) -> None:
    """What pip is to download, with the lock's hashes. torch's CPU build is asked for by itself:
    an index may lack it, and then torch-cuda.txt counts."""
    lines = read_lock(arguments.lock, arguments.python)
    wanted = {name: lines[name] for name in sorted(pins)}
    torch = cuda = ""
    if arguments.hardware == "cpu" and "torch" in wanted:
        pin, _, hashes = wanted.pop("torch").partition(" ")
        torch = f"{pin}+cpu {hashes}\n"
        others = read_lock(arguments.lock.with_name("torch-cuda.txt"), arguments.python)
        cuda = "".join(f"{line}\n" for line in others.values())
    (folder / "wanted.txt").write_text("".join(f"{line}\n" for line in wanted.values()), "utf-8")
    (folder / "torch.txt").write_text(torch, "utf-8")
    (folder / "cuda.txt").write_text(cuda, "utf-8")


def _write_pins(folder: Path, pins: dict[str, str]) -> None:
    lines = [f"{name}=={version}\n" for name, version in sorted(pins.items())]
    (folder / "pins.txt").write_text("".join(lines), encoding="utf-8")


def pack(arguments: argparse.Namespace) -> None:
    folder: Path = arguments.folder
    manifest = manifests.read(folder)
    wheels = sorted((folder / "wheels").glob("*.whl"))
    files = [*wheels, *(folder / "wheels").glob("*.so.1")]  # a library of the system's
    found = dict(name_and_version(path.name) for path in wheels)
    absent = [n for n, pin in manifest.pins.items() if not is_good(found.get(n, ""), pin)]
    if absent:
        raise Refused(f"No wheel came for {', '.join(absent)}. See {folder / 'make.log'}.")
    manifest = replace(manifest, wheels={path.name: sha256_of(path) for path in files})
    manifest = replace(manifest, id=manifests.id_of(manifest))
    size = sum(path.stat().st_size for path in files)
    held = f"{len(wheels)} wheels, {size / 2**20:.0f} MiB"
    if arguments.piece_mib:
        manifest = replace(manifest, pieces=_split(folder, files, arguments.piece_mib))
        held += f", in {len(manifest.pieces)} pieces of at most {arguments.piece_mib} MiB"
        shutil.rmtree(folder / "wheels")
    manifests.write(folder, manifest)
    print(f"Bundle {manifest.id}: {held}.")


def _split(folder: Path, files: list[Path], piece_mib: int) -> dict[str, str]:
    """SHA-256 by name of the pieces: a tar of the wheels, cut by `split`."""
    cut = ["split", f"--bytes={piece_mib}M", "--numeric-suffixes=1", "--suffix-length=3"]
    with (
        subprocess.Popen([*cut, "-", "part-"], cwd=folder, stdin=subprocess.PIPE) as splitting,
        tarfile.open(fileobj=splitting.stdin, mode="w|") as tar,
    ):
        for path in files:
            tar.add(path, arcname=path.name)
    if splitting.returncode:
        raise Refused(f"The pieces could not be written to {folder}. Is there room? df -h")
    return {path.name: sha256_of(path) for path in sorted(folder.glob("part-*"))}


def unpack(arguments: argparse.Namespace) -> None:
    """Every wheel is hashed, joined from the pieces first where it is not there yet."""
    folder: Path = arguments.folder
    manifest = manifests.read(folder)
    if not manifest.id:
        raise Refused(f"The bundle in {folder} is unfinished: its make was interrupted. Repeat it.")
    wheels = folder / "wheels"
    wrong = _wrong(wheels, manifest.wheels)
    if wrong and manifest.pieces:
        _whole(folder, _wrong(folder, manifest.pieces) + _strange(folder, manifest.pieces))
        _join(folder, manifest)
        wrong = _wrong(wheels, manifest.wheels)
    _whole(folder, wrong)
    _write_pins(folder, manifest.pins)
    came = f"{len(manifest.pieces)} pieces, " if manifest.pieces else ""
    print(f"Bundle {manifest.id}: {came}{len(manifest.wheels)} wheels, each with its SHA-256.")


def _whole(folder: Path, wrong: list[str]) -> None:
    if wrong:
        raise Refused(
            f"The bundle in {folder} did not arrive whole:",
            *(f"  {line}" for line in wrong),
            "Copy what is named again from where the bundle was made.",
        )


def _wrong(folder: Path, hashes: dict[str, str]) -> list[str]:
    """A sentence for each file that is missing or another."""
    wrong = []
    for name, digest in hashes.items():
        if not (folder / name).is_file():
            wrong.append(f"{name} is missing")
        elif sha256_of(folder / name) != digest:
            wrong.append(f"{name} is damaged or of another bundle: its SHA-256 is another")
    return wrong


def _strange(folder: Path, pieces: dict[str, str]) -> list[str]:
    strange = sorted(path.name for path in folder.glob("part-*") if path.name not in pieces)
    return [f"{name} is not one of this bundle's {len(pieces)} pieces" for name in strange]


def _join(folder: Path, manifest: Manifest) -> None:
    wheels = folder / "wheels"
    wheels.mkdir(exist_ok=True)
    with (
        subprocess.Popen(["cat", *manifest.pieces], cwd=folder, stdout=subprocess.PIPE) as joining,
        tarfile.open(fileobj=joining.stdout, mode="r|") as tar,
    ):
        for member in tar:
            content = tar.extractfile(member)
            if content is None or member.name not in manifest.wheels:
                raise Refused(f"The pieces in {folder} hold {member.name}, no wheel of theirs.")
            with (wheels / f"{member.name}.new").open("wb") as file:
                shutil.copyfileobj(content, file)
            (wheels / f"{member.name}.new").replace(wheels / member.name)


def needed(arguments: argparse.Namespace) -> None:
    """Prints the pins that this interpreter's path lacks; refuses where --have promised more."""
    from importlib.metadata import distributions

    manifest = manifests.read(arguments.folder)
    there: dict[str, str] = {}
    for one in distributions():
        if name := one.metadata["Name"]:
            there.setdefault(normal(name), one.version)
    lacking = [
        f"{name} {version}"
        for name, version in manifest.on_target.items()
        if (version and there.get(name) != version)
    ]
    if lacking:
        raise Refused(
            f"The bundle was made with --have for a machine that has {', '.join(lacking)};",
            f"{sys.executable} has not. Name the Python that does (PYTHON=/path/to/python3 or "
            "--python_exe), or make the bundle without --have.",
        )
    for name, pin in sorted(manifest.pins.items()):
        if not is_good(there.get(name, ""), pin):
            print(f"{name}=={pin}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    steps = parser.add_subparsers(dest="step", required=True)
    for step in (plan, pack, unpack, needed):
        one = steps.add_parser(step.__name__)
        one.add_argument("folder", type=Path)
        one.set_defaults(run=step)
        if step is plan:
            one.add_argument("--lock", type=Path, required=True)
            one.add_argument("--hardware", required=True)
            one.add_argument("--python", required=True)
            one.add_argument("--glibc", required=True)
            one.add_argument("--minimal", action="store_true")
            one.add_argument("--have", type=Path)
        if step is pack:
            one.add_argument("--piece_mib", type=int, default=0)
    arguments = parser.parse_args()
    try:
        arguments.run(arguments)
    except Refused as refusal:
        print(*refusal.args, sep="\n", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
