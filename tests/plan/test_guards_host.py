"""What is read of the machine: limits, ports, Ray's processes, and what nvidia-smi says."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from verlaunch.machine import hardware, host, leftovers, nvidia

CARDS = """\
0, GPU-aa, 81559, 80800, Default, Disabled, 580.95.05, 9.0, NVIDIA H100 80GB HBM3
1, GPU-bb, 81559, 20000, Exclusive_Process, Enabled, 580.95.05, 9.0, NVIDIA H100, 80GB
"""
PROGRAMS = "GPU-bb, 4242, 61000, /opt/my, env/bin/python\nGPU-zz, 1, 5, else\nGPU-bb, 7, [N/A], x\n"


def fake_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_this_machine_is_read_as_it_is() -> None:
    seen = host.look()
    assert seen.loopback
    assert 0 < seen.free_memory_gib <= hardware.look().memory_gib
    assert seen.open_files > 0 and seen.ports > 0
    assert (seen.shm_bytes is None) == (not Path("/dev/shm").is_dir())


def test_the_limit_of_open_files_is_what_ray_raises_it_to() -> None:
    ask = "from verlaunch.machine import host; print(host.look().open_files)"
    command = f"ulimit -Sn 200; ulimit -Hn 300; exec {shlex.quote(sys.executable)} -c '{ask}'"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "300"


def test_a_lonely_port_is_not_a_working_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the interface down a port can be had, and nobody can reach it."""

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("socket.create_connection", unreachable)
    assert not host.look().loopback


def test_a_ray_head_of_ours_is_told_with_its_runs_folder(tmp_path: Path) -> None:
    program = tmp_path / "gcs_server"
    program.symlink_to("/bin/sleep")
    for mark, said in (({leftovers.MARK: "/data/out"}, "run in /data/out"), ({}, "head at ")):
        child = subprocess.Popen([str(program), "60"], env=mark)
        try:
            while bytes(program) not in Path(f"/proc/{child.pid}/cmdline").read_bytes():
                time.sleep(0.01)  # the kernel names it a moment after Popen returns
            assert any(
                one.startswith(said) and one.endswith(f"(pid {child.pid})")
                for one in host.look().ray
            )
        finally:
            child.kill()
            child.wait()


def test_limits_of_the_groups_above_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm limits a job's group, which is below the root."""
    job = tmp_path / "slurm" / "job_7"
    job.mkdir(parents=True)
    (job / "memory.max").write_text(f"{2**30}\n")
    (job / "memory.current").write_text(f"{2**29}\n")
    (job / "memory.stat").write_text(f"anon 1\ninactive_file {2**27}\nactive_file 0\n")
    (job / "pids.max").write_text("100\n")
    (job / "pids.current").write_text("30\n")
    monkeypatch.setattr(hardware, "CGROUP", tmp_path)
    monkeypatch.setattr(hardware, "_memberships", lambda: [["0", "", "/slurm/job_7"]])
    seen = host.look()
    assert hardware.look().memory_gib == 1.0
    assert seen.free_memory_gib == 0.625  # what is cached can be given back
    assert (seen.processes, seen.threads, seen.threads_by) == (100, 30, "pids.max")


def test_a_folder_lies_on_the_disk_of_the_nearest_mount(tmp_path: Path) -> None:
    left = host.room(tmp_path / "not" / "yet")
    assert 0 < left.free <= left.total and left.kind
    if Path("/dev/shm").is_dir():
        assert host.room(Path("/dev/shm/a/b")).kind == "tmpfs"


# ---- nvidia-smi ------------------------------------------------------------------------------


def test_cards_are_read_with_their_modes() -> None:
    first, second = nvidia.read_cards(CARDS)
    assert (first.index, first.uuid, first.compute_mode, first.mig) == (0, "GPU-aa", "Default", 0)
    assert (second.free, second.capability) == (20000 * 2**20, (9, 0))
    assert (second.compute_mode, second.mig) == ("Exclusive_Process", True)
    assert (second.name, second.driver) == ("NVIDIA H100, 80GB", "580.95.05")


def test_a_chip_that_shares_memory_has_no_size() -> None:
    text = "0, GPU-c, [N/A], [N/A], Default, [N/A], 580.1, 12.1, NVIDIA GB10\n"
    (card,) = nvidia.read_cards(text)
    assert (card.total, card.free, card.mig) == (0, 0, False)


def test_programs_are_told_with_their_card() -> None:
    busy = nvidia.read_programs(PROGRAMS, nvidia.read_cards(CARDS))
    assert busy == (
        nvidia.Busy(1, 4242, "/opt/my, env/bin/python", 61000 * 2**20),
        nvidia.Busy(1, 7, "x", 0),
    )


def test_nvidia_smi_is_asked_for_cards_and_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"case $1 in *compute-apps*) printf '{PROGRAMS}' ;; *) printf '{CARDS}' ;; esac"
    fake_smi(tmp_path, monkeypatch, script.replace("\n", "\\n"))
    seen = host.look()
    assert [card.uuid for card in seen.cards] == ["GPU-aa", "GPU-bb"]
    assert [busy.pid for busy in seen.busy] == [4242, 7] and seen.smi_error == ""


def test_an_old_nvidia_smi_is_asked_for_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = "0, GPU-aa, 16160, 16000, Default, [N/A], 418.87, Tesla V100"
    refusal = 'Field "compute_cap" is not a valid field to query.'
    script = f"case $1 in *compute_cap*) echo '{refusal}'; exit 2 ;; *) echo '{row}' ;; esac"
    fake_smi(tmp_path, monkeypatch, script)
    (card,) = host.look().cards
    assert (card.name, card.capability) == ("Tesla V100", None)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo 'NVIDIA-SMI has failed.'; exit 9", "NVIDIA-SMI has failed."),
        ("echo 'No devices were found' >&2; exit 6", "No devices were found"),
        ("exit 3", "nvidia-smi ended with code 3"),
    ],
)
def test_an_nvidia_smi_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: str
) -> None:
    fake_smi(tmp_path, monkeypatch, script)
    assert (host.look().smi_error, host.look().cards) == (error, ())
