"""The judge's cache: keeps scores over restarts and between processes, and never ends a run."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.judge.cache import Cache, cache_key
from rewards.part import CannotStart


def test_what_is_put_is_found_again_by_the_next_run(tmp_path: Path) -> None:
    path = str(tmp_path / "new" / "folder" / "judge.sqlite")
    first = Cache(path)
    first.put("k", {"score": 7})
    first.put("k", {"score": 8})
    first.close()
    second = Cache(path)
    assert second.get("k") == {"score": 8} and second.get("other") is None
    second.close()


@given(st.lists(st.text()), st.lists(st.text()))
def test_keys_are_equal_when_their_parts_are(a: list[str], b: list[str]) -> None:
    assert (cache_key(*a) == cache_key(*b)) == (a == b)


def test_any_text_has_a_key_and_parts_do_not_run_together() -> None:
    assert len(cache_key("\ud800", "\x00", "你")) == 64
    assert cache_key("ab", "c") != cache_key("a", "bc") != cache_key("abc")
    assert cache_key() != cache_key("")


WRITER = """
import sys
from rewards.judge.cache import Cache
cache = Cache(sys.argv[1])
for n in range(200):
    cache.put(f"{sys.argv[2]}-{n}", {"score": n})
sys.exit(cache.troubles)
"""


def test_processes_share_the_file_and_lose_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "judge.sqlite")
    root = Path(__file__).resolve().parents[2]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, path, name], cwd=root) for name in "abc"
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    cache = Cache(path)
    assert all(cache.get(f"{name}-{n}") == {"score": n} for name in "abc" for n in range(200))
    cache.close()


def test_a_cache_made_in_one_thread_serves_another(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "judge.sqlite"))
    thread = threading.Thread(target=cache.put, args=("k", {"score": 1}))
    thread.start()
    thread.join()
    assert cache.get("k") == {"score": 1} and cache.troubles == 0
    cache.close()


def refusal(path: Path) -> str:
    with pytest.raises(CannotStart) as caught:
        Cache(str(path))
    return str(caught.value)


def test_a_file_that_is_no_cache_is_said_at_the_start(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a database at all, but long enough to be looked at " * 20)
    assert str(other) in refusal(other) and "--rm_cache off" in refusal(other)
    assert "long enough" in other.read_text()


def test_a_database_of_something_else_is_said_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE scores (player TEXT)")
    assert str(path) in refusal(path)


def test_a_damaged_file_is_said_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    cache = Cache(str(path))
    cache.put("k", {"score": 1})
    cache.close()
    path.write_bytes(path.read_bytes()[:100] + os.urandom(5000))
    assert str(path) in refusal(path)


def test_a_folder_and_a_path_below_a_file_are_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert str(tmp_path) in refusal(tmp_path)
    assert "file" in refusal(tmp_path / "file" / "judge.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_file_without_leave_to_write_is_said_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    Cache(str(path)).close()
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        assert "cannot use" in refusal(path)
    finally:
        tmp_path.chmod(0o755)


def test_trouble_in_the_middle_of_a_run_is_counted_and_harms_nothing(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    cache = Cache(str(path))
    with sqlite3.connect(path) as other:
        other.execute("INSERT INTO scores VALUES ('odd', 'no json'), ('list', '[1]')")
    assert cache.get("odd") is None and cache.get("list") is None
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE scores")
    cache.put("k", {"score": 1})
    assert cache.get("k") is None and cache.troubles == 3
    cache.close()


def test_the_file_holds_hashes_and_scores_only(tmp_path: Path) -> None:
    path = tmp_path / "judge.sqlite"
    cache = Cache(str(path))
    cache.put(cache_key("my secret prompt"), {"score": 3})
    cache.close()
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT key, value FROM scores").fetchall()
    assert [json.loads(value) for _, value in rows] == [{"score": 3}]
    assert b"secret" not in path.read_bytes()
