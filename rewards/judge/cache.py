"""Scores that a judge gave before, in one SQLite file that survives the run and may be shared.

    cache = Cache("outputs/judge.sqlite")
    key = cache_key("openai", "gpt-6-luna", prompt, response)
    cache.put(key, {"score": 7})
    cache.get(key)  # {"score": 7}, in any process, after any restart

Scores only: no prompts, no responses, no failures. What cannot be opened or written is said at the
start (CannotStart); trouble later on (a full disk, a lock that stays) makes an entry count as
absent, never ends a run, and is counted in `troubles`.
"""

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from rewards.part import CannotStart

LOCK_WAIT_S = 1.0  # another process holds the file for microseconds; longer is not worth a wait
_TABLE = "CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, value TEXT NOT NULL)"
_GET = "SELECT value FROM scores WHERE key = ?"
_PUT = "INSERT OR REPLACE INTO scores (key, value) VALUES (?, ?)"


def cache_key(*parts: str) -> str:
    """As JSON first, so that ("ab", "c") and ("a", "bc") differ; any text has a key."""
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(
        path,
        timeout=LOCK_WAIT_S,
        isolation_level=None,
        check_same_thread=False,  # an actor is made in one thread and runs in another
    )
    try:
        database.execute("PRAGMA journal_mode = WAL")  # readers and one writer at a time
        database.execute("PRAGMA synchronous = NORMAL")  # no fsync per score: a crash costs a few
        database.execute(_TABLE)
        database.execute("BEGIN IMMEDIATE")  # tells a file that can be read but not written
        database.execute(_PUT, ("", "{}"))
        database.execute("ROLLBACK")
        database.execute(_GET, ("",)).fetchone()
    except sqlite3.Error:
        database.close()
        raise
    return database


class Cache:
    """For one thread at a time; other processes may have the same file open."""

    def __init__(self, path: str) -> None:
        try:
            self._database = _open(Path(path).expanduser())
        except (sqlite3.Error, OSError) as error:
            raise CannotStart(
                f"cannot use {path} as the judge's cache ({error}); "
                "delete it, name another file, or go without: --rm_cache off"
            ) from None
        self.troubles = 0

    def get(self, key: str) -> dict[str, Any] | None:
        try:
            row = self._database.execute(_GET, (key,)).fetchone()
            value = json.loads(row[0]) if row else None
        except (sqlite3.Error, ValueError, TypeError):
            self.troubles += 1
            return None
        return value if isinstance(value, dict) else None

    def put(self, key: str, value: dict[str, Any]) -> None:
        text = json.dumps(value)
        try:
            self._database.execute(_PUT, (key, text))
        except sqlite3.Error:
            self.troubles += 1

    def close(self) -> None:
        self._database.close()
