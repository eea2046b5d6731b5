"""`train.sh` sets up once and completely: real bash, venv and pip, with locks of tiny packages.

A skeleton of the checkout is copied to a folder with a space in its name, beside a folder of wheels
that these tests write, so nothing is fetched. What the real locks install is not tried here:
`scripts/test.sh` itself runs from an environment that they made.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def make_skeleton(root: Path) -> Path:
    (root / "locks").mkdir(parents=True)
    (root / "scripts").mkdir()
    shutil.copy(ROOT / "train.sh", root)
    shutil.copy(ROOT / "scripts" / "setup.sh", root / "scripts")
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "backend.py").write_text(BACKEND)
    (root / "locks" / "cpu.txt").write_text("tiny==1.0\n")
    (root / "locks" / "gpu.txt").write_text("tiny==2.0\n")
    (root / "locks" / "test.txt").write_text("tool==1.0\n")
    write_wheels(root / "wheels")
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
    (finished / "locks" / "cpu.txt").write_text("tiny==1.0\n")
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
    (checkout / "locks" / "cpu.txt").write_text("tiny==2.0\n")
    assert "Installing" in start(checkout).stderr
    assert installed(checkout, "tiny") == "2.0"


def test_failed_install_shows_why_and_the_next_start_continues(checkout: Path) -> None:
    (checkout / "locks" / "cpu.txt").write_text("tiny==1.0\nabsent==7.0\n")
    failed = start(checkout)
    assert failed.returncode == 1
    assert "absent" in failed.stderr and "continues from here" in failed.stderr
    assert failed.stdout == ""
    assert not (checkout / ".venv" / "stamp").exists()
    (checkout / "locks" / "cpu.txt").write_text("tiny==1.0\n")
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


def test_torch_that_lacks_its_libraries_gets_them(checkout: Path) -> None:
    (checkout / "locks" / "cpu.txt").write_text("tiny==1.0\ntorch==9.0\n")
    mended = start(checkout)
    assert mended.returncode == 0, mended.stderr
    assert "PIP_EXTRA_INDEX_URL" in mended.stderr
    assert installed(checkout, "cudalib") == "1.0"


def test_python_too_old_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    root = make_skeleton(tmp_path / "checkout")
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\nif [ "$1" = -V ]; then echo Python 3.9.18; else exit 1; fi\n')
    old.chmod(0o755)
    refused = start(root, PYTHON=str(old))
    assert refused.returncode == 2
    assert "Python 3.9.18; needed is Python 3.10, 3.11 or 3.12" in refused.stderr
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


def with_gpu(
    folder: Path, answer: str = "GPU 0: NVIDIA H200", visible: str = "0"
) -> dict[str, str]:
    """Variables under which an nvidia-smi of ours answers."""
    smi = folder / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\necho '{answer}'\n")
    smi.chmod(0o755)
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
