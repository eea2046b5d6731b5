"""The wheel holds all that a run needs: code, configs, sample data, rewards' files, entry points.

It is built without isolation or network and unpacked to a folder of its own by pip; a fresh Python
then looks from there. Not tried here: training from the wheel, which is the checkout's own code.
"""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from verlaunch.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed, and nothing else."""
    built = tmp_path_factory.mktemp("wheel")
    target = tmp_path_factory.mktemp("site")
    alone = ["--quiet", "--no-deps", "--no-index"]
    make = ["wheel", *alone, "--no-build-isolation", "--wheel-dir", str(built), str(ROOT)]
    subprocess.run([*PIP, *make], check=True)
    (wheel,) = built.glob("*.whl")
    subprocess.run([*PIP, "install", *alone, "--target", str(target), str(wheel)], check=True)
    return target


def files_below(folder: Path) -> set[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in paths if "__pycache__" not in path.parts}


@pytest.mark.parametrize(
    ("room", "packed"),
    [
        ("configs", "verlaunch/share/configs"),
        ("data", "verlaunch/share/data"),
        ("rewards", "rewards"),
        ("verlaunch/engine", "verlaunch/engine"),
    ],
)
def test_every_file_of_the_room_is_in_the_wheel(site: Path, room: str, packed: str) -> None:
    expected = files_below(ROOT / room)
    assert expected
    assert expected - files_below(site / packed) == set()


def test_installed_package_finds_its_own_configs_and_samples(site: Path, tmp_path: Path) -> None:
    code = "from verlaunch import paths; print(paths.CONFIGS, paths.SAMPLES, sep='\\n')"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}); {code}"]
    out = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    configs, samples = (Path(line) for line in out.split())
    assert configs == site / "verlaunch" / "share" / "configs"
    assert (configs / "ppo.yaml").is_file()
    assert samples == site / "verlaunch" / "share" / "data"


def test_entry_points_name_the_launcher_and_the_engine_plugin(site: Path) -> None:
    (package,) = importlib.metadata.distributions(name="verlaunch", path=[str(site)])
    points = {point.group: point.value for point in package.entry_points}
    assert points == {
        "console_scripts": "verlaunch.cli:main",
        "verl.plugins": "verlaunch.engine.plugin",
    }


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_each_command_of_the_wheel_says_how_it_is_used(
    site: Path, tmp_path: Path, name: str
) -> None:
    env = {name: text for name, text in os.environ.items() if name != "VERLAUNCH_START"}
    command = [sys.executable, str(site / "bin" / "verlaunch"), name, "--help"]
    env["PYTHONPATH"] = str(site)
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.lower().startswith("usage: verlaunch ") and "train.sh" not in done.stdout


def test_wheel_brings_no_tests_and_no_scripts(site: Path) -> None:
    top = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert top - {"bin"} == {"verlaunch", "rewards"}
