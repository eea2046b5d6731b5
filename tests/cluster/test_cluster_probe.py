"""Whether two machines see the same folder and the same model; here, folders that do or do not."""

import os
import threading
from pathlib import Path

import pytest

from verlaunch.cluster import shared_folder


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_folder, "PATIENCE_S", 0.3)
    monkeypatch.setattr(shared_folder, "POLL_S", 0.02)


def test_a_shared_folder_is_seen_from_both_sides(tmp_path: Path) -> None:
    nonce = shared_folder.write(tmp_path)
    assert not shared_folder.answered(tmp_path, nonce, 1)
    assert shared_folder.answer(tmp_path, nonce, 1)
    assert shared_folder.answered(tmp_path, nonce, 1)
    assert not shared_folder.answered(tmp_path, nonce, 2)


def test_another_folder_with_the_same_name_is_not_taken_for_it(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    nonce = shared_folder.write(ours)
    shared_folder.write(theirs)
    assert not shared_folder.answer(theirs, nonce, 1)
    assert not shared_folder.answer(tmp_path / "missing", nonce, 1)
    assert not shared_folder.answered(ours, nonce, 1)


def test_a_folder_that_is_seen_but_cannot_be_written_is_not_shared(tmp_path: Path) -> None:
    nonce = shared_folder.write(tmp_path)
    (tmp_path / "logs" / f"probe-{nonce}-1").mkdir()  # root may write what is read-only to others
    assert not shared_folder.answer(tmp_path, nonce, 1)


def test_a_disk_that_shows_new_files_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_folder, "PATIENCE_S", 20)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    nonce = shared_folder.write(ours)
    late = threading.Timer(0.2, os.symlink, (ours, theirs))
    late.start()
    assert shared_folder.answer(theirs, nonce, 1)
    late.join()


def test_nothing_is_left_of_a_probe(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "run.log"
    nonce = shared_folder.write(tmp_path)
    log.write_text("kept")
    shared_folder.answer(tmp_path, nonce, 1)
    shared_folder.remove(tmp_path, nonce)
    shared_folder.remove(tmp_path, nonce)
    assert list(log.parent.iterdir()) == [log]


def test_a_model_is_known_by_its_files_and_its_configuration(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "config.json").write_text('{"hidden_size": 64}')
        (folder / "model.safetensors").write_bytes(b"0" * 100)
    seen = {shared_folder.fingerprint(here), shared_folder.fingerprint(there)}
    assert len(seen) == 1
    (there / "notes.md").write_text("not a part of the model")
    assert {shared_folder.fingerprint(there)} == seen
    (there / "config.json").write_text('{"hidden_size": 65}')
    seen.add(shared_folder.fingerprint(there))
    (there / "model.safetensors").write_bytes(b"0" * 99)
    seen.add(shared_folder.fingerprint(there))
    (there / "tokenizer.json").write_text("{}")
    seen.add(shared_folder.fingerprint(there))
    assert len(seen) == 4


def test_a_folder_without_a_model_has_no_fingerprint(tmp_path: Path) -> None:
    assert (
        shared_folder.fingerprint(tmp_path) == shared_folder.fingerprint(tmp_path / "missing") == ""
    )
