"""Where a run goes on, and what it says where it cannot."""

from pathlib import Path

import pytest

from tests.record.test_checkpoints import WEIGHTS, flip_a_bit, saved
from verlaunch.errors import UserError
from verlaunch.machine import disk
from verlaunch.record.checkpoints.manifest import MANIFEST
from verlaunch.record.checkpoints.resume import Resume, check_ranks, choose, remember
from verlaunch.weights.fitting import fitting

FSDP2 = {
    "actor_rollout_ref.actor.strategy": "fsdp2",
    "critic.strategy": "fsdp2",
    "actor_rollout_ref.actor.fsdp_config.fsdp_size": -1,
    "critic.fsdp.fsdp_size": -1,
}


def chosen(checkpoints: Path, wanted: str = "auto") -> Resume:
    return choose(checkpoints, wanted, hashes=True)


def refusal(checkpoints: Path, wanted: str = "auto") -> str:
    with pytest.raises(UserError) as caught:
        chosen(checkpoints, wanted)
    return str(caught.value)


def step_of(resume: Resume) -> int:
    assert resume.checkpoint is not None
    return resume.checkpoint.step


def test_damaged_ones_are_passed_over_with_a_reason_each(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    flip_a_bit(saved(tmp_path, 20) / WEIGHTS)
    saved(tmp_path, 30, complete=False)
    resume = chosen(tmp_path)
    assert step_of(resume) == 10
    assert resume.notes == (
        f"passed over global_step_30: it has no {MANIFEST}: it was not finished.",
        f"passed over global_step_20: it has a damaged {WEIGHTS} "
        "(its sha256 is not the manifest's).",
    )


def test_a_run_that_never_saved_begins_anew_and_says_so(tmp_path: Path) -> None:
    assert chosen(tmp_path) == Resume(None)
    saved(tmp_path, 10, complete=False)
    resume = chosen(tmp_path)
    assert resume.checkpoint is None
    assert resume.notes[-1] == "none was ever complete: starting from the beginning."


def test_work_that_was_saved_and_is_damaged_is_not_thrown_away(tmp_path: Path) -> None:
    flip_a_bit(saved(tmp_path, 20) / WEIGHTS)
    (saved(tmp_path, 10) / "data.pt").unlink()
    saved(tmp_path, 30, complete=False)
    text = refusal(tmp_path)
    assert f"global_step_20 has a damaged {WEIGHTS}" in text
    assert "global_step_10 lacks data.pt" in text and "global_step_30" not in text
    assert "--resume never" in text


def test_a_named_folder_is_taken_or_told_what_is_wrong(tmp_path: Path) -> None:
    source = saved(tmp_path / "run" / "checkpoints", 20)
    own = tmp_path / "own"
    assert step_of(chosen(own, f"{source}/")) == 20
    assert "no such folder" in refusal(own, str(tmp_path / "nowhere"))
    for folder in (source.parent, source.parent.parent):
        assert f"Name one of them: {source}." in refusal(own, str(folder))
    (source / "data.pt").unlink()
    assert "lacks data.pt" in refusal(own, str(source))


def test_a_folder_of_plain_verl_gets_a_way_out(tmp_path: Path) -> None:
    theirs = tmp_path / "global_step_5"
    (theirs / "actor").mkdir(parents=True)
    (theirs.parent / "latest_checkpointed_iteration.txt").write_text("5")
    text = refusal(tmp_path / "own", str(theirs))
    assert "verl wrote it without this launcher" in text
    assert f"--local_dir {theirs}/actor --target_dir MODEL, then --model MODEL" in text


def test_a_named_folder_is_where_a_run_starts_once(tmp_path: Path) -> None:
    source = saved(tmp_path / "other", 20)
    own = tmp_path / "own"
    remember(own, str(source), 20)
    assert step_of(chosen(own, str(source))) == 20  # nothing of its own yet
    saved(own, 24)
    resume = chosen(own, str(source))
    assert step_of(resume) == 24 and "what it has saved since" in resume.notes[-1]
    another = saved(tmp_path / "other", 10)
    assert step_of(chosen(own, str(another))) == 10


def test_the_start_may_be_pruned_once_the_run_is_beyond_it(tmp_path: Path) -> None:
    remember(tmp_path, str(tmp_path / "global_step_20"), 20)
    saved(tmp_path, 30)
    assert step_of(chosen(tmp_path, str(tmp_path / "global_step_20"))) == 30


def test_as_many_ranks_need_no_copy(tmp_path: Path) -> None:
    found = chosen(saved(tmp_path, 20, ranks=2).parent).checkpoint
    assert found is not None
    check_ranks(found, 2, {})
    assert fitting(found, 2, tmp_path) is found


def test_what_other_ranks_cannot_continue_is_refused_beforehand(tmp_path: Path) -> None:
    found = chosen(saved(tmp_path, 20).parent).checkpoint
    assert found is not None
    check_ranks(found, 2, FSDP2)
    for key, value in (("critic.strategy", "fsdp"), ("critic.fsdp.fsdp_size", 2)):
        with pytest.raises(UserError, match=rf"by 4: with {key}={value} .* Use --n_gpus 1"):
            check_ranks(found, 4, {**FSDP2, key: value})


def test_a_copy_that_does_not_fit_on_the_disk_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = chosen(saved(tmp_path, 20).parent).checkpoint
    assert found is not None
    monkeypatch.setattr(disk, "free", lambda folder: 50)
    with pytest.raises(UserError, match=r"needs 0\.1 kB for a copy .* has 0\.1 kB free"):
        fitting(found, 2, tmp_path)
    assert not (tmp_path / "resharded").exists()
