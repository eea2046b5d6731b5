"""What nvidia-smi and CUDA_VISIBLE_DEVICES say, read as CUDA reads it."""

from pathlib import Path

import pytest

from verlaunch.machine import hardware
from verlaunch.machine.hardware import Gpu, look, read_gpus, visible

SMI = "NVIDIA H200, 143771, GPU-aaa\nNVIDIA A10, 23028, GPU-abb\n"
GPUS = read_gpus(SMI, 64)


def test_cards_are_read_with_their_memory() -> None:
    assert [gpu.name for gpu in GPUS] == ["NVIDIA H200", "NVIDIA A10"]
    assert [round(gpu.memory_gib) for gpu in GPUS] == [140, 22]


def test_a_chip_that_shares_memory_has_the_machines() -> None:
    assert read_gpus("NVIDIA GB10, [N/A], GPU-c\n", 119.5) == [Gpu("NVIDIA GB10", 119.5, "GPU-c")]


@pytest.mark.parametrize(
    ("setting", "left"),
    [(None, [0, 1]), ("0,1", [0, 1]), ("1", [1]), ("", []), ("-1", []), ("1,-1,0", [1]),
     ("GPU-ab", [1]), ("7", []), (" 1 , 0", [1, 0])],
)  # fmt: skip
def test_visible_devices_are_chosen_as_cuda_does(setting: str | None, left: list[int]) -> None:
    assert visible(GPUS, setting) == tuple(GPUS[i] for i in left)


def test_this_machine_has_cores_and_memory() -> None:
    seen = look()
    assert seen.cores >= 1 and seen.memory_gib > 0.5


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "300000 100000"}, 3),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.cfs_quota_us": "250000", "cpu.cfs_period_us": "100000"}, 2),
        ({"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, 8),
        ({"cpu.cfs_quota_us": "5000", "cpu.cfs_period_us": "100000"}, 1),
    ],
)
def test_a_quota_counts_as_cores_in_both_versions_of_cgroups(
    files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(hardware, "groups", lambda controller: [tmp_path])
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(hardware, "_gpus", lambda memory_gib: ())
    assert look().cores == cores
