"""A bundle arrives whole or says which part did not: real bash, pip and venv, tiny wheels.

A skeleton of the checkout as in test_bootstrap.py, whose index is a folder of tiny wheels for any
Python; the folder is taken away before a bundle is installed.
"""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.test_bootstrap import (
    BACKEND,
    PYPROJECT,
    installed,
    make_skeleton,
    start,
    write_lock,
    write_wheel,
)

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
HERE = f"3.{sys.version_info.minor}"
LOCK = (
    "tiny==2.0",
    "ray==1.0",
    "flashinfer-python==1.0",
    "fromsource==1.0",
    "other==1.0 ; python_full_version < '3.0'",
)


def bundle(root: Path, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PYTHON": sys.executable}
    settings["PIP_FIND_LINKS"] = (root / "wheels").as_uri()
    return subprocess.run(
        [str(root / "scripts/offline_bundle.sh"), *map(str, arguments)],
        env=kept | settings | env,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_skeleton(tmp_path_factory.mktemp("offline") / "with a space")
    shutil.copy(ROOT / "scripts" / "offline_bundle.sh", root / "scripts")
    shutil.copytree(ROOT / "scripts" / "offline", root / "scripts" / "offline")
    # Random, so that the pieces are many: a wheel of zeros would be packed into nothing.
    write_wheel(root / "wheels", "ray", "1.0", code=f"noise = '{os.urandom(1200_000).hex()}'")
    write_wheel(root / "wheels", "flashinfer_python", "1.0")
    write_source(root / "wheels", "fromsource", "1.0")
    write_lock(root, "gpu", *LOCK)
    return root


def write_source(folder: Path, name: str, version: str) -> None:
    """A package that its index has as source alone."""
    project = PYPROJECT.replace("verlaunch", name).replace('"0"', f'"{version}"')
    backend = BACKEND.replace("verlaunch-0", f"{name}-{version}").replace("verlaunch", name)
    files = {
        "pyproject.toml": project,
        "backend.py": backend.replace("Version: 0", f"Version: {version}"),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as tar:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))


def make(root: Path, folder: Path, *flags: str) -> Path:
    made = bundle(root, "make", folder, "--hardware", "gpu", *flags)
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="module")
def whole(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in pieces, which no test changes."""
    return make(checkout, tmp_path_factory.mktemp("made") / "a bundle", "--piece_mib", "1")


@pytest.fixture
def sent(whole: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(whole, tmp_path / "sent"))


@pytest.fixture
def target(checkout: Path, tmp_path: Path) -> Path:
    """The checkout on the machine without network: no wheels beside it."""
    ignored = shutil.ignore_patterns("wheels", ".venv")
    return Path(shutil.copytree(checkout, tmp_path / "target", ignore=ignored))


def wheel_names(folder: Path) -> set[str]:
    return {path.name.split("-")[0] for path in (folder / "wheels").glob("*.whl")}


def test_pieces_are_no_larger_than_asked_and_nothing_else_is_left(whole: Path) -> None:
    sizes = [path.stat().st_size for path in sorted(whole.glob("part-*"))]
    assert len(sizes) > 2 and max(sizes) == 2**20
    assert not (whole / "wheels").exists()


def test_installed_bundle_is_what_train_sh_looks_for(target: Path, sent: Path) -> None:
    first = bundle(target, "install", sent, PIP_FIND_LINKS="file:///nowhere")
    assert first.returncode == 0, first.stderr
    assert (installed(target, "tiny"), installed(target, "ray")) == ("2.0", "1.0")
    log = target / ".venv" / "install.log"
    before = log.stat().st_mtime_ns
    started = start(target, "--hardware", "gpu", HARDWARE="")
    assert (started.returncode, started.stderr) == (0, "")
    again = bundle(target, "install", sent)
    assert again.returncode == 0, again.stderr
    assert log.stat().st_mtime_ns == before


def test_a_bundle_for_the_cpu_brings_the_one_library_of_the_system(
    checkout: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cpu"
    write_lock(checkout, "cpu", "tiny==2.0")
    made = bundle(checkout, "make", folder, "--hardware", "cpu")
    assert made.returncode == 0, made.stderr
    library = (folder / "wheels" / "libnuma.so.1").read_bytes()
    assert library.startswith(b"\x7fELF") and "libnuma.so.1" in (folder / "bundle.json").read_text()
    target = Path(tmp_path, "target")
    venv.create(target / ".venv", symlinks=True)
    sources = ("scripts/setup/machine.sh", "scripts/offline/install.sh")
    script = "".join(f"source '{checkout / name}'; " for name in sources) + "fetch_numa"
    places = {"VENV": str(target / ".venv"), "DIR": str(folder), "PATH": os.environ["PATH"]}
    subprocess.run(["bash", "-euc", script], env=places, check=True)
    loaded = "print('.venv/lib/system/libnuma' in open('/proc/self/maps').read())"
    assert (
        subprocess.check_output([target / ".venv/bin/python", "-c", loaded], text=True) == "True\n"
    )


def test_install_reads_no_index_whatever_pip_is_told(target: Path, sent: Path) -> None:
    # An address that nobody answers: asking it would fail, or wait.
    settings = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_INDEX": "0"}
    done = bundle(target, "install", sent, "--target", target / "site", **settings)
    assert done.returncode == 0, done.stderr
    assert (target / "site" / "ray.py").exists()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: (folder / "part-002").unlink(), "part-002 is missing"),
        (lambda folder: flip_a_byte(folder / "part-002"), "part-002 is damaged or"),
        (lambda folder: os.truncate(folder / "part-002", 9999), "part-002 is damaged or"),
        (
            lambda folder: shutil.copy(folder / "part-001", folder / "part-002"),
            "part-002 is damaged or of another bundle",
        ),
        (
            lambda folder: shutil.copy(folder / "part-001", folder / "part-077"),
            "part-077 is not one of this bundle's",
        ),
    ],
    ids=["missing", "damaged", "cut short", "another's place", "one too many"],
)
def test_piece_that_did_not_arrive_well_is_named(
    sent: Path, checkout: Path, harm: Callable[[Path], Any], told: str
) -> None:
    harm(sent)
    refused = bundle(checkout, "verify", sent)
    assert refused.returncode == 2
    assert told in refused.stderr and "Copy what is named again" in refused.stderr
    assert "Traceback" not in refused.stderr


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)


def test_piece_of_another_bundle_is_named(checkout: Path, sent: Path, tmp_path: Path) -> None:
    other = make(checkout, tmp_path / "other", "--piece_mib", "1", "--minimal")
    shutil.copy(other / "part-001", sent / "part-001")
    refused = bundle(checkout, "verify", sent)
    assert refused.returncode == 2
    assert "part-001 is damaged or of another bundle" in refused.stderr


def test_damaged_wheel_of_an_unsplit_bundle_is_named(checkout: Path, tmp_path: Path) -> None:
    folder = make(checkout, tmp_path / "one")
    (wheel,) = (folder / "wheels").glob("tiny-*")
    wheel.write_bytes(b"")
    refused = bundle(checkout, "verify", folder)
    assert refused.returncode == 2
    assert f"{wheel.name} is damaged" in refused.stderr


def test_joined_wheels_are_made_good_from_the_pieces(checkout: Path, sent: Path) -> None:
    assert bundle(checkout, "verify", sent).returncode == 0
    (wheel,) = (sent / "wheels").glob("tiny-*")
    wheel.write_bytes(b"")
    assert bundle(checkout, "verify", sent).returncode == 0
    assert wheel.stat().st_size > 0


def test_minimal_leaves_out_what_text_never_imports(
    checkout: Path, target: Path, tmp_path: Path
) -> None:
    folder = make(checkout, tmp_path / "small", "--minimal")
    assert wheel_names(folder) == {"tiny", "ray", "fromsource"}
    done = bundle(target, "install", folder)
    assert done.returncode == 0, done.stderr
    assert "left out flashinfer-python" in (target / ".venv" / "stamp").read_text()
    # The whole bundle afterwards brings what is missing.
    full = bundle(target, "install", make(checkout, tmp_path / "full"))
    assert full.returncode == 0, full.stderr
    assert installed(target, "flashinfer-python") == "1.0"
    assert "left out" not in (target / ".venv" / "stamp").read_text()


def test_what_the_target_has_is_not_downloaded(checkout: Path, tmp_path: Path) -> None:
    have = tmp_path / "have.txt"
    have.write_text("Ray==1.0+cu129\ntiny==1.0\nflashinfer.python==1.0\n-e git+x#egg=y\n")
    folder = make(checkout, tmp_path / "less", "--have", str(have))
    assert wheel_names(folder) == {"tiny", "fromsource"}


def test_bundle_made_for_a_fuller_machine_is_laid_over_its_packages(
    checkout: Path, target: Path, tmp_path: Path
) -> None:
    have = tmp_path / "have.txt"
    have.write_text("ray==1.0+local\n")
    folder = make(checkout, tmp_path / "less", "--have", str(have))
    refused = bundle(target, "install", folder)
    assert refused.returncode == 2
    assert "has ray 1.0+local" in refused.stderr and "--python_exe" in refused.stderr
    python = make_environment(tmp_path / "base", "ray", "1.0+local", "--without-pip")
    done = bundle(target, "install", folder, PYTHON=str(python))
    assert done.returncode == 0, done.stderr
    assert installed(target, "ray") == "1.0+local"
    assert installed(target, "tiny") == "2.0"


def make_environment(folder: Path, name: str, version: str, *flags: str) -> Path:
    """An environment in which one package is installed, without pip unless the flags say so."""
    subprocess.run([sys.executable, "-m", "venv", *flags, str(folder)], check=True)
    write_wheel(folder, name, version)
    (site,) = folder.glob("lib/python3*/site-packages")
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl") as wheel:
        wheel.extractall(site)
    return folder / "bin/python"


def test_good_version_in_an_environment_stays(target: Path, sent: Path, tmp_path: Path) -> None:
    python = make_environment(tmp_path / "env", "ray", "1.0+cu129")
    done = bundle(target, "install", sent, "--python_exe", python)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True).stdout
    assert "ray==1.0+cu129" in listed and "tiny==2.0" in listed


def test_changed_lock_is_told_before_anything_is_made(target: Path, sent: Path) -> None:
    (target / "locks" / "gpu.txt").write_text("tiny==1.0\n")
    refused = bundle(target, "install", sent)
    assert refused.returncode == 2
    assert "another locks/gpu.txt" in refused.stderr
    assert not (target / ".venv").exists()


def test_other_python_is_told(checkout: Path, target: Path, tmp_path: Path) -> None:
    other = "3.10" if HERE != "3.10" else "3.12"
    folder = make(checkout, tmp_path / "other", "--python", other)
    refused = bundle(target, "install", folder)
    assert refused.returncode == 2
    assert f"The bundle is for Python {other}" in refused.stderr
    assert f"is {HERE}" in refused.stderr


def test_absent_package_ends_make_with_pips_own_words(target: Path, tmp_path: Path) -> None:
    failed = bundle(target, "make", tmp_path / "none")
    assert failed.returncode == 1
    assert "No matching distribution found" in failed.stderr
    unfinished = bundle(target, "install", tmp_path / "none")
    assert unfinished.returncode == 2
    assert "unfinished" in unfinished.stderr


def test_make_again_fetches_only_what_is_new(checkout: Path, tmp_path: Path) -> None:
    folder = make(checkout, tmp_path / "twice", "--minimal")
    fetched = [path for path in (folder / "wheels").iterdir() if "fromsource" not in path.name]
    before = {path: path.stat().st_mtime_ns for path in fetched}
    make(checkout, folder)
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert wheel_names(folder) == {"tiny", "ray", "flashinfer_python", "fromsource"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "Say what to do:"),
        ("bake DIR", "bake is unknown"),
        ("make", "A folder is missing"),
        ("make DIR --python 3.9", "--python 3.9: allowed are 3.10 to 3.14"),
        ("make DIR --python 3.14", "--python 3.14: the GPU set is for 3.10 to 3.13."),
        ("make DIR --hardware tpu", "--hardware tpu: allowed are cpu and gpu."),
        ("make DIR --piece-mib half", "--piece_mib half: takes a whole number"),
        ("make DIR --piece_mib=0", "--piece_mib 0: takes a whole number"),
        ("make DIR --have /nowhere/have.txt", "pip list --format=freeze"),
        ("make DIR --pieces 5", "Unknown flag --pieces"),
        ("make DIR --have", "--have needs a value"),
        ("make DIR more", "more is one word too many"),
        ("install DIR", "bundle.json not found"),
        ("install DIR --target a --python_exe b", "choose one"),
        ("verify DIR", "bundle.json not found"),
    ],
)
def test_mistake_is_one_message_without_a_traceback(
    checkout: Path, tmp_path: Path, words: str, told: str
) -> None:
    new = str(tmp_path / "new")
    refused = bundle(checkout, *[new if word == "DIR" else word for word in words.split()])
    assert refused.returncode == 2, refused.stderr
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr


def test_folder_with_other_files_is_not_used(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    refused = bundle(checkout, "make", tmp_path)
    assert refused.returncode == 2
    assert "holds other files (thesis.tex)" in refused.stderr


def test_every_package_left_out_as_text_only_is_in_a_lock_and_has_a_reason() -> None:
    locked = (ROOT / "locks" / "gpu.txt").read_text()
    lines = (ROOT / "scripts" / "offline" / "text_only.txt").read_text().splitlines()
    for line in filter(None, lines):
        if not line.startswith("#"):
            name, _, reason = line.partition(" ")
            assert f"\n{name}==" in locked and len(reason.split()) >= 3, line
