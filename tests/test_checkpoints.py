"""Only checkpoints that are whole are believed, continued from, and kept."""

from pathlib import Path

from verlaunch.checkpoints import MANIFEST, all_complete, latest, prune, read, write_manifest


def saved(checkpoints: Path, step: int, ranks: int = 1, complete: bool = True) -> Path:
    folder = checkpoints / f"global_step_{step}"
    (folder / "actor").mkdir(parents=True)
    (folder / "actor" / "model_world_size_1_rank_0.pt").write_bytes(b"w" * 100)
    (folder / "data.pt").write_bytes(b"d")
    if complete:
        write_manifest(folder, step, ranks)
    return folder


def test_a_finished_checkpoint_is_read_back(tmp_path: Path) -> None:
    folder = saved(tmp_path, 40, ranks=2)
    found = read(folder)
    assert found is not None
    assert (found.step, found.ranks) == (40, 2)
    assert found.files == {"actor/model_world_size_1_rank_0.pt": 100, "data.pt": 1}


def test_one_that_a_crash_cut_is_not_believed(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    saved(tmp_path, 20, complete=False)
    (saved(tmp_path, 30) / "actor" / "model_world_size_1_rank_0.pt").write_bytes(b"short")
    (saved(tmp_path, 40) / "data.pt").unlink()
    (saved(tmp_path, 50) / MANIFEST).write_text("[]")
    (saved(tmp_path, 60) / MANIFEST).write_text('{"step": 6')
    found = latest(tmp_path)
    assert found is not None and found.step == 10


def test_the_latest_is_the_highest_step_not_the_last_word(tmp_path: Path) -> None:
    for step in (100, 9, 20):
        saved(tmp_path, step)
    assert [c.step for c in all_complete(tmp_path)] == [9, 20, 100]


def test_no_folder_means_no_checkpoint(tmp_path: Path) -> None:
    assert latest(tmp_path / "missing") is None


def test_pruning_keeps_the_newest_and_clears_older_wrecks(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        saved(tmp_path, step)
    saved(tmp_path, 15, complete=False)
    newer = saved(tmp_path, 35, complete=False)  # perhaps being written
    final = tmp_path / "final"
    final.mkdir()
    gone = prune(tmp_path, keep=2)
    assert sorted(path.name for path in gone) == ["global_step_10", "global_step_15"]
    assert [c.step for c in all_complete(tmp_path)] == [20, 30]
    assert newer.is_dir() and final.is_dir()


def test_pruning_without_a_complete_one_deletes_nothing(tmp_path: Path) -> None:
    saved(tmp_path, 5, complete=False)
    assert prune(tmp_path, keep=1) == []
