"""What nvidia-smi and CUDA_VISIBLE_DEVICES say, read as CUDA reads it."""

from pathlib import Path

import pytest

from verlaunch.machine import hardware, nvidia
from verlaunch.machine.hardware import Gpu, look, visible

SMI = """\
0, GPU-aaa, 143771, 143000, Default, Disabled, 580.1, 9.0, NVIDIA H200
1, GPU-abb, [N/A], [N/A], Default, [N/A], 580.1, 12.1, NVIDIA GB10
"""
GPUS = [Gpu("NVIDIA H200", 140.4, "GPU-aaa"), Gpu("NVIDIA A10", 22.5, "GPU-abb")]


def test_cards_have_their_memory_and_a_chip_that_shares_it_the_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(nvidia, "cards", lambda: (nvidia.read_cards(SMI), ""))
    seen = look()
    assert [gpu.name for gpu in seen.gpus] == ["NVIDIA H200", "NVIDIA GB10"]
    assert round(seen.gpus[0].memory_gib) == 140 and seen.gpus[1].memory_gib == seen.memory_gib


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
    monkeypatch.setattr(nvidia, "cards", lambda: ((), ""))
    assert look().cores == cores
