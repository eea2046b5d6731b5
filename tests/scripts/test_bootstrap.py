"""`train.sh` sets up once and completely: real bash, venv and pip, with locks of tiny packages.

A skeleton of the checkout is copied to a folder with a space in its name, beside a folder of wheels
that these tests write, so nothing is fetched. What the real locks install is not tried here:
`scripts/test.sh` itself runs from an environment that they made.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "verlaunch"
version = "0"
"""

# A build backend of its own, since the real one would have to be installed first.
BACKEND = """
import os, zipfile
LAUNCHER = '''import os, sys
def main():
    print("launched in", os.getcwd(), sys.argv[1:])
'''
def build_editable(folder, config_settings=None, metadata_directory=None):
    info = "verlaunch-0.dist-info/"
    files = {
        "launcher.py": LAUNCHER,
        info + "METADATA": "Metadata-Version: 2.1\\nName: verlaunch\\nVersion: 0\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        info + "entry_points.txt": "[console_scripts]\\nverlaunch = launcher:main\\n",
        info + "RECORD": "",
    }
    name = "verlaunch-0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return name
build_wheel = build_editable
"""


def write_wheel(folder: Path, name: str, version: str, code: str = "", requires: str = "") -> None:
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", code)
        wheel.writestr(
            f"{info}/METADATA", metadata + (f"Requires-Dist: {requires}\n" if requires else "")
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def write_wheels(folder: Path) -> None:
    folder.mkdir()
    write_wheel(folder, "tiny", "1.0")
    write_wheel(folder, "tiny", "2.0")
    write_wheel(folder, "tool", "1.0")
    # A torch that cannot be imported before its own requirement is there, as the CUDA build.
    write_wheel(folder, "torch", "9.0", code="import cudalib", requires="cudalib")
    write_wheel(folder, "cudalib", "1.0")


def locked(wheels: Path, *pins: str) -> str:
    """A lock with the hashes of the files that are there, or one that fits nothing.

    locked(wheels, "tiny==1.0", "ray==1.0 ; python_full_version < '3.0'")
    """
    lines = []
    for pin in pins:
        name, version = pin.partition(" ; ")[0].split("==")
        files = sorted(wheels.glob(f"{name.replace('-', '_')}-{version}[-.+]*"))
        hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files] or ["0" * 64]
        lines.append(" \\\n".join([pin, *(f"    --hash=sha256:{one}" for one in hashes)]) + "\n")
    return "".join(lines)


def write_lock(root: Path, name: str, *pins: str) -> None:
    (root / "locks" / f"{name}.txt").write_text(locked(root / "wheels", *pins))


def make_skeleton(root: Path) -> Path:
    (root / "locks").mkdir(parents=True)
    (root / "scripts").mkdir()
    shutil.copy(ROOT / "train.sh", root)
    shutil.copy(ROOT / "scripts" / "setup.sh", root / "scripts")
    shutil.copytree(ROOT / "scripts" / "setup", root / "scripts" / "setup")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    write_wheels(root / "wheels")
    write_lock(root, "cpu", "tiny==1.0")
    write_lock(root, "gpu", "tiny==2.0")
    write_lock(root, "test", "tool==1.0")
    write_lock(root, "torch-cuda", "torch==9.0", "cudalib==1.0")
    return root


def start(
    root: Path, *arguments: str, script: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Starts train.sh away from the checkout, with pip's settings pointing at the wheels alone."""
    settings = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    settings["PIP_FIND_LINKS"] = (root / "wheels").as_uri()
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [str(script or root / "train.sh"), *arguments],
        cwd="/",
        env=kept | settings | {"PYTHON": sys.executable, "HARDWARE": "cpu"} | env,
        capture_output=True,
        text=True,
    )


def source(root: Path, commands: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs bash commands after sourcing scripts/setup.sh."""
    text = 'set -euo pipefail; VERLAUNCH_ROOT=$1; source "$1/scripts/setup.sh"; ' + commands
    command = ["bash", "-c", text, "bash", str(root)]
    kept = {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
    kept["PIP_FIND_LINKS"] = (root / "wheels").as_uri()
    return subprocess.run(command, env=kept | env, capture_output=True, text=True)


def installed(root: Path, name: str) -> str | None:
    code = f"from importlib.metadata import version; print(version({name!r}))"
    command = [str(root / ".venv/bin/python"), "-c", code]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() or None


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout that has been set up."""
    root = make_skeleton(tmp_path_factory.mktemp("boot") / "with a space")
    first = start(root, "--steps", "2")
    assert first.returncode == 0, first.stderr
    assert "launched in / ['--steps', '2']" in first.stdout
    assert installed(root, "tiny") == "1.0"
    return root


@pytest.fixture
def checkout(finished: Path) -> Iterator[Path]:
    """The same, put back to its first state afterwards."""
    yield finished
    write_lock(finished, "cpu", "tiny==1.0")
    assert start(finished).returncode == 0


def test_second_start_installs_nothing_and_is_silent(finished: Path) -> None:
    before = (finished / ".venv" / "install.log").stat().st_mtime_ns
    again = start(finished, "score", "--rows", "5")
    assert again.returncode == 0
    assert (again.stdout, again.stderr) == ("launched in / ['score', '--rows', '5']\n", "")
    assert (finished / ".venv" / "install.log").stat().st_mtime_ns == before


def test_a_start_without_PYTHON_keeps_the_environment_that_is_there(finished: Path) -> None:
    again = start(finished, PYTHON="")
    assert (again.returncode, again.stderr) == (0, "")


def test_a_symlink_from_another_folder_starts_the_same_checkout(
    finished: Path, tmp_path: Path
) -> None:
    link = tmp_path / "go"
    link.symlink_to(finished / "train.sh")
    through = start(finished, "--seed", "a b", script=link)
    assert through.stdout == "launched in / ['--seed', 'a b']\n"
    assert through.stderr == ""


def test_changed_lock_is_installed(checkout: Path) -> None:
    write_lock(checkout, "cpu", "tiny==2.0")
    assert "Installing" in start(checkout).stderr
    assert installed(checkout, "tiny") == "2.0"


def test_failed_install_shows_why_and_the_next_start_continues(checkout: Path) -> None:
    write_lock(checkout, "cpu", "tiny==1.0", "absent==7.0")
    failed = start(checkout)
    assert failed.returncode == 1
    assert "absent" in failed.stderr and "keeps what is installed" in failed.stderr
    assert failed.stdout == ""
    assert not (checkout / ".venv" / "stamp").exists()
    write_lock(checkout, "cpu", "tiny==1.0")
    assert "launched" in start(checkout).stdout


def test_package_left_half_unpacked_is_installed_again(checkout: Path) -> None:
    (checkout / ".venv" / "stamp").unlink()
    (folder,) = (checkout / ".venv" / "lib").glob("python3*/site-packages")
    (folder / "tiny.py").unlink()
    (folder / "tiny-1.0.dist-info" / "INSTALLER").unlink()
    assert start(checkout).returncode == 0
    assert (folder / "tiny.py").exists()


def test_starts_at_once_install_one_after_the_other(checkout: Path) -> None:
    (checkout / ".venv" / "stamp").unlink()
    both = source(
        checkout,
        'set_up cpu & first=$!; set_up cpu & second=$!; wait "$first"; wait "$second"',
        PYTHON=sys.executable,
    )
    assert both.returncode == 0, both.stderr
    assert both.stderr.count("Installing") == 1
    assert "waiting for it" in both.stderr


def test_test_tools_are_added_without_a_second_environment(checkout: Path) -> None:
    added = source(checkout, "set_up cpu test", PYTHON=sys.executable)
    assert added.returncode == 0, added.stderr
    assert installed(checkout, "tool") == "1.0"
    assert start(checkout).stderr == ""


def test_moved_checkout_and_other_set_get_a_fresh_environment(
    finished: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(finished, moved, symlinks=True)
    gpu = start(moved, "--hardware", "gpu", **with_gpu(tmp_path))
    assert gpu.returncode == 0, gpu.stderr
    assert "Clearing .venv" in gpu.stderr
    assert installed(moved, "tiny") == "2.0"
    head = (moved / ".venv" / "bin" / "verlaunch").read_text().splitlines()[0]
    assert str(moved) in head


@pytest.mark.parametrize("constraint", ["", "torch<=9.1"])  # with one, pip words it differently
def test_index_with_the_cuda_build_of_torch_alone_is_told_before_its_download(
    checkout: Path, tmp_path: Path, constraint: str
) -> None:
    constraints = tmp_path / "constraints.txt"  # pip splits the variable at the checkout's space
    constraints.write_text(f"{constraint}\n")
    write_lock(checkout, "cpu", "tiny==2.0")
    with (checkout / "locks" / "cpu.txt").open("a") as lock:  # the CPU build's hash alone
        lock.write(f"torch==9.0 \\\n    --hash=sha256:{'0' * 64}\n")
    started = start(checkout, PIP_CONSTRAINT=str(constraints))
    assert started.returncode == 0, started.stderr
    assert "6.8 GB" in started.stderr and "PIP_EXTRA_INDEX_URL" in started.stderr
    assert (installed(checkout, "torch"), installed(checkout, "cudalib")) == ("9.0", "1.0")


def test_cpu_build_of_torch_is_preferred(checkout: Path) -> None:
    write_wheel(checkout / "wheels", "torch", "8.0+cpu")
    write_wheel(checkout / "wheels", "torch", "8.0", code="import cudalib", requires="cudalib")
    write_lock(checkout, "cpu", "tiny==2.0", "torch==8.0")
    started = start(checkout)
    assert started.returncode == 0 and "CUDA" not in started.stderr, started.stderr
    assert installed(checkout, "torch") == "8.0+cpu"


@pytest.mark.parametrize(
    ("works", "setting", "asked"),
    [("true", "", True), ("false", "", True), ("true", "PIP_CERT", False)],
)
def test_uv_installs_where_pip_has_no_settings_of_its_own_and_pip_what_uv_cannot(
    finished: Path, tmp_path: Path, works: str, setting: str, asked: bool
) -> None:
    write_program(tmp_path, "uv", f'echo "uv $@"; {works}')
    write_program(tmp_path, "python", '[ "$3" = config ] && exec "$PYTHON" "$@"; echo "pip $@"')
    commands = f"VENV={tmp_path}/venv; mkdir -p $VENV; ln -s {tmp_path} $VENV/bin; "
    commands += 'if uv_serves; then INSTALLER=uv; fi; pip_install --require-hashes -r "the lock"'
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": sys.executable}
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        commands = f"unset {name}; {commands}"
    done = source(finished, commands, **path, **({setting: "/a.pem"} if setting else {}))
    assert done.returncode == 0, done.stderr
    assert ("uv pip install --python" in done.stdout) == asked
    assert ("pip -m pip install --no-deps" in done.stdout) == (not asked or works == "false")
    assert all(line.endswith("--require-hashes -r the lock") for line in done.stdout.splitlines())


def test_changed_byte_stops_the_install_with_one_message(tmp_path: Path) -> None:
    root = make_skeleton(tmp_path / "checkout")
    write_wheel(root / "wheels", "tiny", "1.0", code="import this")
    refused = start(root)
    assert refused.returncode == 1
    assert "A file is not the one that the lock names" in refused.stderr
    assert installed(root, "tiny") is None
    assert not (root / ".venv" / "stamp").exists()


def test_file_without_a_hash_in_the_lock_is_refused(tmp_path: Path) -> None:
    root = make_skeleton(tmp_path / "checkout")
    (root / "locks" / "cpu.txt").write_text("tiny==1.0\n")
    assert start(root).returncode == 1
    assert installed(root, "tiny") is None


@pytest.mark.parametrize(("hardware", "code"), [("cpu", 0), ("gpu", 2)])
def test_newest_python_has_no_gpu_set(tmp_path: Path, hardware: str, code: int) -> None:
    """A Python that says of itself that it is 3.14."""
    is_new = 'case "$2" in *"<= (3, 14)"* | *ensurepip*) ;; *"<= (3, "*) exit 1;; esac'
    new = write_program(tmp_path, "python3.14", f'{is_new}; exec "{sys.executable}" "$@"')
    root = make_skeleton(tmp_path / "checkout")
    found = source(root, f"find_python {hardware}", PYTHON=str(new))
    assert found.returncode == code
    assert ("verlaunch needs Python 3.10 to 3.13" in found.stderr) == (code == 2)


def test_full_disk_is_told_before_anything_is_downloaded(tmp_path: Path) -> None:
    root = make_skeleton(tmp_path / "checkout")
    df = write_program(tmp_path, "df", "echo Avail Mounted; echo 900 /small")
    refused = start(root, PATH=f"{df.parent}:{os.environ['PATH']}")
    assert refused.returncode == 2
    assert "the disk at /small has 900 MB free" in refused.stderr
    assert not (root / ".venv" / "bin").exists()


def test_room_that_an_interrupted_install_takes_is_counted(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv" / "stamp").unlink()
    df = write_program(tmp_path, "df", "echo Avail Mounted; echo 4299 /small")
    again = start(checkout, PATH=f"{df.parent}:{os.environ['PATH']}")
    assert again.returncode == 0, again.stderr


def test_pip_unpacks_in_venv_and_what_a_kill_left_there_goes(checkout: Path) -> None:
    left = checkout / ".venv" / "tmp" / "pip-unpack-x"
    left.mkdir(parents=True)
    (checkout / ".venv" / "stamp").unlink()
    started = start(checkout, TMPDIR="/nowhere")
    assert started.returncode == 0, started.stderr
    assert not left.parent.exists()


WITHOUT_NUMA = """
has_numa() { [[ -e $VENV/has_it ]]; }
system_package() { :; }
fetch_numa() { ((FETCH)) && touch "$VENV/has_it"; }
rm -f "$VENV/has_it"
"""


@pytest.mark.parametrize(
    ("words", "fetch", "code"),
    [("--seed 1", 0, 2), ("--seed 1", 1, 0), ("--dry_run", 0, 0), ("--help", 0, 0)],
)
def test_only_a_start_that_trains_needs_libnuma(
    checkout: Path, words: str, fetch: int, code: int
) -> None:
    commands = f"{WITHOUT_NUMA} FETCH={fetch}; choose_set {words}; set_up cpu"
    for stamp in ("complete", "none"):
        if stamp == "none":
            (checkout / ".venv" / "stamp").unlink(missing_ok=True)
        done = source(checkout, commands, PYTHON=sys.executable, HARDWARE="cpu")
        assert done.returncode == code, done.stderr
        assert ("libnuma.so.1 is missing" in done.stderr) == (code == 2)
        assert "Installing the packages" not in done.stderr or code == 0


def test_fetched_libnuma_is_loaded_by_each_python_of_venv(checkout: Path, tmp_path: Path) -> None:
    """A package of ours in the place of Debian's; any library will do."""
    source_library = subprocess.run(
        [sys.executable, "-c", "import _ctypes; print(_ctypes.__file__)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    write_program(tmp_path, "apt-get", f"cp {source_library} libnuma1_2_any.deb")
    unpack = 'mkdir -p usr/lib/any && cp "$2" usr/lib/any/libnuma.so.1.0 && '
    write_program(tmp_path, "dpkg", f"{unpack}ln -s libnuma.so.1.0 usr/lib/any/libnuma.so.1")
    fetched = source(checkout, "mkdir -p $VENV/tmp; fetch_numa", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert fetched.returncode == 0, fetched.stderr + (checkout / ".venv/install.log").read_text()
    maps = "print(open('/proc/self/maps').read())"
    python = checkout / ".venv" / "bin" / "python"
    loaded = subprocess.run([python, "-c", maps], capture_output=True, text=True, check=True)
    assert f"{checkout}/.venv/lib/system/libnuma.so.1.0" in loaded.stdout


def test_python_too_old_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    root = make_skeleton(tmp_path / "checkout")
    version = 'if [ "$1" = -V ]; then echo Python 3.9.18; else exit 1; fi'
    old = write_program(tmp_path, "python3.9", version)
    refused = start(root, PYTHON=str(old))
    assert refused.returncode == 2
    assert "Python 3.9.18; verlaunch needs Python 3.10 to 3.14" in refused.stderr
    assert not (root / ".venv").exists()


def test_missing_python_is_named(tmp_path: Path) -> None:
    refused = start(make_skeleton(tmp_path / "checkout"), PYTHON="/nowhere/python3")
    assert refused.returncode == 2
    assert "/nowhere/python3 is not found" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "variable", "expected"),
    [
        ("--steps 2 --hardware gpu", "cpu", "gpu"),
        ("--hardware=gpu --seed 1", "", "gpu"),
        ("--hardware=gpu --hardware cpu", "", "cpu"),
        ("--model gpu", "cpu", "cpu"),
        ("", "gpu", "gpu"),
    ],
)
def test_hardware_flag_beats_the_variable(
    tmp_path: Path, arguments: str, variable: str, expected: str
) -> None:
    root = make_skeleton(tmp_path / "checkout")
    assert chosen(root, arguments, HARDWARE=variable) == expected


def chosen(root: Path, arguments: str, **env: str) -> str:
    found = source(root, f'choose_set {arguments}; echo "$HARDWARE_SET"', **env)
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


def write_program(folder: Path, name: str, commands: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{commands}\n")
    program.chmod(0o755)
    return program


def with_gpu(
    folder: Path, answer: str = "GPU 0: NVIDIA H200", visible: str = "0"
) -> dict[str, str]:
    """Variables under which an nvidia-smi of ours answers."""
    write_program(folder, "nvidia-smi", f"echo '{answer}'")
    return {"PATH": f"{folder}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": visible}


@pytest.mark.parametrize(
    ("answer", "visible", "expected"),
    [("GPU 0: NVIDIA H200", "0", "gpu"), ("no driver", "0", "cpu"), ("GPU 0: NVIDIA", "", "cpu")],
)
def test_nvidia_smi_decides_without_a_flag(
    tmp_path: Path, answer: str, visible: str, expected: str
) -> None:
    root = make_skeleton(tmp_path / "checkout")
    assert chosen(root, "", **with_gpu(tmp_path, answer, visible)) == expected


@pytest.mark.parametrize(
    ("installed_set", "arguments", "has_gpu", "expected"),
    [
        ("cpu", "--hardware gpu", False, "cpu"),  # a mistake, which the launcher tells
        ("cpu", "--hardware gpu", True, "gpu"),
        ("cpu", "--hardware gpu --dry_run", True, "cpu"),
        ("gpu", "--hardware cpu --dry-run json", True, "gpu"),
        ("gpu", "--hardware cpu", True, "cpu"),
        ("gpu", "--help", False, "gpu"),
        ("cpu", "score --help", True, "cpu"),
        ("cpu", "report outputs", True, "cpu"),
        ("gpu", "doctor --hardware cpu", True, "gpu"),
        ("cpu", "train --seed 1", True, "gpu"),
        ("cpu", "actor.lr=1 --seed 1", True, "gpu"),
    ],
)
def test_an_installed_set_stays_where_another_is_of_no_use(
    tmp_path: Path, installed_set: str, arguments: str, has_gpu: bool, expected: str
) -> None:
    root = make_skeleton(tmp_path / "checkout")
    (root / ".venv").mkdir()
    (root / ".venv" / "stamp").write_text(f"root {root}\nset {installed_set}\n")
    env = with_gpu(tmp_path) if has_gpu else with_gpu(tmp_path, "No devices were found")
    assert chosen(root, arguments, **env) == expected


def test_unknown_hardware_stops_before_installing(tmp_path: Path) -> None:
    root = make_skeleton(tmp_path / "checkout")
    refused = start(root, "--hardware", "tpu")
    assert refused.returncode == 2
    assert "allowed are cpu and gpu" in refused.stderr
    assert not (root / ".venv").exists()
