"""What stays and what goes: the newest, the best, and nothing that is not ours."""

from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.record.test_checkpoints import WEIGHTS, saved
from verlaunch.record.checkpoints.retention import prune, set_aside_after, sweep
from verlaunch.record.checkpoints.search import all_complete, best, note_score


def steps(checkpoints: Path) -> list[int]:
    return [found.step for found in all_complete(checkpoints)]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_newest_stay_and_older_wrecks_go(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        saved(tmp_path, step)
    saved(tmp_path, 15, complete=False)
    newer = saved(tmp_path, 35, complete=False)  # perhaps being written
    gone = prune(tmp_path, keep=2)
    assert {path.name for path in gone} == {"global_step_10", "global_step_15"}
    assert steps(tmp_path) == [20, 30] and newer.is_dir()


def test_two_stay_whatever_was_asked(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        saved(tmp_path, step)
    prune(tmp_path, keep=1)
    assert steps(tmp_path) == [20, 30]


def test_nothing_goes_while_none_is_complete(tmp_path: Path) -> None:
    saved(tmp_path, 5, complete=False)
    assert prune(tmp_path, keep=2) == []
    assert names(tmp_path) == {"global_step_5"}


def test_what_the_trainer_did_not_make_is_never_deleted(tmp_path: Path) -> None:
    theirs = tmp_path / "global_step_5"  # of plain verl: no manifest, no mark
    (theirs / "actor").mkdir(parents=True)
    (theirs / "data.pt").write_bytes(b"d")
    for name in ("final", "epochs", "global_step_6 (copy)", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "global_step_7").symlink_to(saved(tmp_path / "elsewhere", 7))
    before = names(tmp_path)
    for step in (10, 20, 30):
        saved(tmp_path, step)
    prune(tmp_path, keep=2)
    assert names(tmp_path) == before | {"global_step_20", "global_step_30"}
    assert (tmp_path / "elsewhere" / "global_step_7" / "data.pt").is_file()


def test_the_data_file_that_verls_pruning_leaves_alone_goes(tmp_path: Path) -> None:
    orphan = tmp_path / "global_step_5"
    orphan.mkdir()
    (orphan / "data.pt").write_bytes(b"d")
    saved(tmp_path, 10)
    assert prune(tmp_path, keep=2) == [orphan]


def test_a_copy_for_other_ranks_goes_with_the_first_save_after_it(tmp_path: Path) -> None:
    saved(tmp_path / "resharded", 10, ranks=2)
    saved(tmp_path, 20)
    prune(tmp_path, keep=2)
    assert names(tmp_path) == {"global_step_20"}


def test_the_best_is_kept_however_old(tmp_path: Path) -> None:
    for step, score in ((10, 0.5), (20, 0.9), (30, 0.7), (40, 0.6), (50, 0.8)):
        saved(tmp_path, step)
        prune(tmp_path, keep=2)
        assert note_score(tmp_path, step, score) == (step <= 20)
    chosen = best(tmp_path)
    assert chosen is not None and chosen.step == 20
    assert steps(tmp_path) == [20, 40, 50]


def test_of_equal_scores_the_earlier_is_the_best(tmp_path: Path) -> None:
    for step in (10, 20):
        saved(tmp_path, step)
        note_score(tmp_path, step, 0.5)
    chosen = best(tmp_path)
    assert chosen is not None and chosen.step == 10


def test_a_score_counts_only_with_its_checkpoint(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    assert note_score(tmp_path, 10, 0.3)
    assert not note_score(tmp_path, 20, 0.9)  # never saved
    assert not note_score(tmp_path, 10, float("nan"))
    saved(tmp_path, 30)
    (tmp_path / "global_step_10" / "data.pt").unlink()
    assert best(tmp_path) is None
    assert note_score(tmp_path, 30, 0.1)  # the better one is lost


@pytest.mark.parametrize("content", ["", "[]", "{", '{"step": "x", "score": 1}', '{"step": 10}'])
def test_a_damaged_note_of_the_best_is_no_best(tmp_path: Path, content: str) -> None:
    saved(tmp_path, 10)
    (tmp_path / "best.json").write_text(content)
    assert best(tmp_path) is None
    assert note_score(tmp_path, 10, 0.5)


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    scores=st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1, max_size=7),
    keep=st.integers(2, 4),
)
def test_whatever_the_scores_the_newest_and_the_first_best_are_there(
    tmp_path_factory: pytest.TempPathFactory, scores: list[float], keep: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    for step, score in enumerate(scores, 1):
        saved(folder, step)
        prune(folder, keep)
        note_score(folder, step, score)
    prune(folder, keep)
    newest = set(range(1, len(scores) + 1)[-keep:])
    assert set(steps(folder)) == newest | {scores.index(max(scores)) + 1}


def test_what_a_kill_left_half_done_is_swept(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    for name in (".final-123", ".global_step_5-99", "resharded/.global_step_5-7", "final"):
        (tmp_path / name).mkdir(parents=True)
    assert len(sweep(tmp_path)) == 3
    assert names(tmp_path) == {"global_step_10", "resharded", "final"}
    assert sweep(tmp_path / "missing") == []


def test_later_checkpoints_make_way_when_a_run_goes_back(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        saved(tmp_path, step)
    note_score(tmp_path, 30, 0.9)
    unfinished = saved(tmp_path, 40, complete=False)
    aside = set_aside_after(tmp_path, 10)
    assert aside is not None
    assert names(aside) == {"global_step_20", "global_step_30", "best.json"}
    assert (aside / "global_step_30" / WEIGHTS).is_file()
    assert steps(tmp_path) == [10] and best(tmp_path) is None and unfinished.is_dir()
    assert set_aside_after(tmp_path, 10) is None
