"""Only checkpoints that are whole are believed and continued from."""

import json
import os
from pathlib import Path

import pytest

from verlaunch.record.checkpoints.complete import missing, wait_for_all
from verlaunch.record.checkpoints.manifest import (
    MANIFEST,
    SAVING,
    Unusable,
    begin,
    examine,
    read,
    write_manifest,
)
from verlaunch.record.checkpoints.search import all_complete, latest, search

WEIGHTS = "actor/model_world_size_1_rank_0.pt"


def saved(checkpoints: Path, step: int, ranks: int = 1, complete: bool = True) -> Path:
    folder = checkpoints / f"global_step_{step}"
    begin(folder)
    (folder / "actor").mkdir()
    (folder / WEIGHTS).write_bytes(b"w" * 100)
    (folder / "data.pt").write_bytes(b"d")
    if complete:
        write_manifest(folder, step, ranks)
    return folder


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def why(folder: Path, hashes: bool = False) -> str:
    with pytest.raises(Unusable) as caught:
        examine(folder, hashes)
    return caught.value.why


def test_a_finished_checkpoint_is_read_back(tmp_path: Path) -> None:
    found = examine(saved(tmp_path, 40, ranks=2), hashes=True)
    assert (found.step, found.ranks, found.size) == (40, 2, 101)
    assert list(found.files) == [WEIGHTS, "data.pt"]
    # sha256 of "d", as `printf d | sha256sum` has it
    assert found.files["data.pt"].sha256.startswith("18ac3e7343f016890c510e93f935261169d9e3f5")


def test_a_finished_save_leaves_no_mark_of_an_unfinished_one(tmp_path: Path) -> None:
    names = {path.name for path in saved(tmp_path, 40).iterdir()}
    assert names == {"actor", "data.pt", MANIFEST}
    assert (saved(tmp_path, 50, complete=False) / SAVING).exists()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: (f / WEIGHTS).write_bytes(b"w" * 99), f"a cut {WEIGHTS} (99 of 100 bytes)"),
        (lambda f: (f / WEIGHTS).write_bytes(b""), f"a cut {WEIGHTS} (0 of 100 bytes)"),
        (lambda f: (f / "data.pt").unlink(), "lacks data.pt"),
        (lambda f: (f / MANIFEST).unlink(), f"has no {MANIFEST}: it was not finished"),
        (lambda f: (f / MANIFEST).write_text(""), f"has an empty {MANIFEST}"),
        (lambda f: (f / MANIFEST).write_text("[]"), f"has a damaged {MANIFEST}"),
        (lambda f: (f / MANIFEST).write_text('{"step": 4'), f"has a damaged {MANIFEST}"),
        (lambda f: (f / MANIFEST).write_bytes(b"\xff\xfe\x00"), "that cannot be read"),
        (lambda f: flip_a_bit(f / WEIGHTS), f"a damaged {WEIGHTS}"),
    ],
)
def test_what_a_crash_or_a_disk_did_is_named_and_passed_over(tmp_path, damage, reason) -> None:
    good = saved(tmp_path, 10)
    damage(saved(tmp_path, 20))
    assert reason in why(tmp_path / "global_step_20", hashes=True)
    result = search(tmp_path, hashes=True)
    assert result.found is not None and result.found.path == good
    assert [one.path.name for one in result.passed_over] == ["global_step_20"]


def test_a_flipped_bit_shows_only_where_every_byte_is_read(tmp_path: Path) -> None:
    flip_a_bit(saved(tmp_path, 20) / WEIGHTS)
    assert latest(tmp_path) is not None
    assert search(tmp_path, hashes=True).found is None


def test_a_copy_under_another_step_is_not_believed(tmp_path: Path) -> None:
    os.rename(saved(tmp_path, 20), tmp_path / "global_step_90")
    assert why(tmp_path / "global_step_90") == f"holds step 20 by its {MANIFEST}"


@pytest.mark.parametrize("tracker", ["", "\n", "7", "99", "not a number", "-1"])
def test_verls_own_tracker_file_does_no_harm(tmp_path: Path, tracker: str) -> None:
    saved(tmp_path, 10)
    (tmp_path / "latest_checkpointed_iteration.txt").write_text(tracker)
    found = latest(tmp_path)
    assert found is not None and found.step == 10


def test_other_names_are_no_checkpoints(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    for name in ("global_step_x", "global_step_-5", "global_step_007", "global_step_9 (copy)",
                 "final", "undone-20260101-000000"):  # fmt: skip
        (tmp_path / name).mkdir()
    (tmp_path / "global_step_60").write_text("a file")
    result = search(tmp_path)
    assert result.found is not None and result.found.step == 10
    assert result.passed_over == ()


def test_a_link_to_a_checkpoint_on_another_disk_is_one(tmp_path: Path) -> None:
    elsewhere = saved(tmp_path / "elsewhere", 20)
    here = tmp_path / "here"
    here.mkdir()
    (here / "global_step_20").symlink_to(elsewhere)
    (here / "global_step_30").symlink_to(tmp_path / "gone")
    result = search(here, hashes=True)
    assert result.found is not None and result.found.step == 20


def test_the_latest_is_the_highest_step_not_the_last_word(tmp_path: Path) -> None:
    for step in (100, 9, 20):
        saved(tmp_path, step)
    assert [c.step for c in all_complete(tmp_path)] == [9, 20, 100]


def test_no_folder_means_no_checkpoint(tmp_path: Path) -> None:
    assert latest(tmp_path / "missing") is None
    assert read(tmp_path / "missing") is None


def test_a_cut_off_save_of_the_same_step_is_written_anew(tmp_path: Path) -> None:
    old = saved(tmp_path, 20, complete=False)
    (old / "actor" / "model_world_size_8_rank_7.pt").write_bytes(b"of other ranks")
    folder = saved(tmp_path, 20)
    assert list(examine(folder).files) == [WEIGHTS, "data.pt"]


def test_a_folder_that_is_not_ours_makes_way_and_stays(tmp_path: Path) -> None:
    theirs = tmp_path / "global_step_20"
    theirs.mkdir()
    (theirs / "precious").write_text("p")
    saved(tmp_path, 20)
    (moved,) = tmp_path.glob("global_step_20-before-*")
    assert (moved / "precious").read_text() == "p"


def test_the_manifest_is_the_last_thing_to_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    saved(tmp_path, 20)
    manifest = synced.index(f".{MANIFEST}")
    assert {"data.pt", Path(WEIGHTS).name, "actor", "global_step_20"} <= set(synced[:manifest])
    assert synced[manifest + 1 :] == ["global_step_20"]


def test_the_manifest_is_plain_json_that_other_tools_can_check(tmp_path: Path) -> None:
    facts = json.loads((saved(tmp_path, 20) / MANIFEST).read_text())
    assert facts["step"] == 20 and facts["ranks"] == 1
    assert facts["files"]["data.pt"]["bytes"] == 1


def test_a_rank_whose_part_is_not_there_is_missed_by_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "global_step_4"
    (folder / "actor").mkdir(parents=True)
    for kind in ("model", "optim"):
        (folder / "actor" / f"{kind}_world_size_2_rank_0.pt").touch()
    (folder / "actor" / "optim_world_size_2_rank_1.pt").touch()
    assert missing(folder) == ["actor/model_world_size_2_rank_1.pt"]
    (folder / "actor" / "model_world_size_2_rank_1.pt").touch()
    assert missing(folder) == []


def test_a_checkpoint_without_a_rank_is_never_declared_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verlaunch.record.checkpoints.complete.PATIENCE_S", 0.0)
    (tmp_path / "model_world_size_3_rank_1.pt").touch()
    absent = "lacks model_world_size_3_rank_0.pt, model_world_size_3_rank_2.pt"
    with pytest.raises(RuntimeError, match=absent):
        wait_for_all(tmp_path)
