"""`scripts/lock/hashed.py` names each file that may be installed, and no other."""

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "lock" / "hashed.py"

FILE = '{{ url = "https://host/{name}", hashes = {{ sha256 = "{digest}" }} }}'
PACKAGE = """
[[packages]]
name = "{name}"
version = "1.0"
marker = "{marker}"
sdist = {sdist}
wheels = [{wheels}]
"""


def package(name: str, marker: str, *tags: str) -> str:
    """Each file's "hash" is its tag."""
    wheels = [FILE.format(name=f"{name}-1.0-{tag}.whl", digest=tag) for tag in tags]
    sdist = FILE.format(name=f"{name}-1.0.tar.gz", digest="source")
    return PACKAGE.format(name=name, marker=marker, sdist=sdist, wheels=", ".join(wheels))


def hashed(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    pylock = folder / "pylock.toml"
    pylock.write_text(text)
    command = [sys.executable, str(SCRIPT), str(pylock), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def entries(lock: str) -> dict[str, set[str]]:
    """Hashes by pin."""
    lines = [line for line in lock.replace(" \\\n    ", " ").splitlines() if line[0] != "#"]
    cut = [line.split(" --hash=sha256:") for line in lines]
    return {words[0]: set(words[1:]) for words in cut}


ONE_WHEEL_EACH = [f"cp3{m}-cp3{m}-manylinux_2_17_{a}" for m in range(10, 15)
                  for a in ("x86_64", "aarch64")]  # fmt: skip
ELSEWHERE = ("cp311-cp311-win_amd64", "cp311-cp311-musllinux_1_2_x86_64", "cp39-cp39-linux_x86_64",
             "cp313-cp313t-manylinux_2_17_x86_64", "pp311-pypy311_pp73-linux_x86_64")  # fmt: skip


def test_wheels_of_other_machines_and_the_source_are_left_out(tmp_path: Path) -> None:
    done = hashed(tmp_path, package("a", "", *ONE_WHEEL_EACH, *ELSEWHERE))
    assert entries(done.stdout) == {"a==1.0": set(ONE_WHEEL_EACH)}
    assert done.stderr == ""


@pytest.mark.parametrize("tag", ["py3-none-any", "py2.py3-none-any", "py37-none-any"])
def test_a_wheel_for_all_serves_all(tmp_path: Path, tag: str) -> None:
    assert entries(hashed(tmp_path, package("a", "", tag)).stdout) == {"a==1.0": {tag}}


def test_stable_abi_serves_later_pythons(tmp_path: Path) -> None:
    tags = [f"cp311-abi3-manylinux_2_28_{machine}" for machine in ("x86_64", "aarch64")]
    done = hashed(tmp_path, package("a", "", *tags))
    assert done.stderr == "a 1.0: source on 3.10 x86_64, 3.10 aarch64\n"
    assert entries(done.stdout) == {"a==1.0": {*tags, "source"}}


@pytest.mark.parametrize(
    ("marker", "newest", "told"),
    [
        ("python_full_version < '3.15' and sys_platform == 'linux'", "14", ""),
        ("python_full_version == '3.11.*'", "14",
         " ; python_full_version >= '3.11' and python_full_version < '3.12'"),
        ("python_full_version >= '3.11' and python_full_version < '3.15'", "14",
         " ; python_full_version >= '3.11'"),
        ("python_full_version < '3.14'", "13", ""),
        ("platform_machine == 'x86_64'", "14", " ; platform_machine == 'x86_64'"),
    ],
)  # fmt: skip
def test_markers_are_as_short_as_they_can_be(
    tmp_path: Path, marker: str, newest: str, told: str
) -> None:
    text = package("a", marker, "py3-none-any") + package("b", "sys_platform == 'win32'")
    done = hashed(tmp_path, text, "--newest", newest)
    assert list(entries(done.stdout)) == [f"a==1.0{told}"]


def test_torch_has_the_hashes_of_its_cpu_builds(tmp_path: Path) -> None:
    ours = tmp_path / "torch.sha256"
    ours.write_text("# where from\n11  torch-1.0+cpu-cp311-cp311-linux.whl\n")
    done = hashed(tmp_path, package("torch", "", "py3-none-any"), "--torch", str(ours))
    assert entries(done.stdout) == {"torch==1.0": {"11"}}
    ours.write_text("11  torch-0.9+cpu-cp311-cp311-linux.whl\n")
    assert hashed(tmp_path, package("torch", ""), "--torch", str(ours)).returncode != 0


@pytest.mark.parametrize("name", ["cpu", "gpu", "test", "torch-cuda"])
def test_each_pin_of_our_locks_has_a_version_and_hashes(name: str) -> None:
    for pin, hashes in entries((ROOT / "locks" / f"{name}.txt").read_text()).items():
        assert str(Requirement(pin).specifier).startswith("==")
        assert hashes and all(len(one) == 64 for one in hashes), pin
