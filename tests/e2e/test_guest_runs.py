"""The CPU demo in a Ray cluster of others: it trains there, and leaves it as it was."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import Started, of_run
from tests.engine.test_guest import wait_until_clean
from tests.ray_clusters import TOKEN, cluster

pytestmark = pytest.mark.e2e


def test_the_demo_trains_as_a_guest_and_a_second_run_is_told_of_it(
    start: Callable[..., Started], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    folder = tmp_path / "guest"
    with cluster(cpus=40, gpus=2) as others:
        guest = ("--ray_address", others.address, "--steps", "16")
        first = start(folder, *guest)
        first.wait_for("loading models")
        second = start(tmp_path / "second", *guest).end()
        assert second.code == 2, second.screen
        assert f"run in {folder} (process " in second.screen
        assert "Traceback" not in second.screen

        ended = first.end()
        assert ended.code == 0, ended.screen
        assert ended.steps() == list(range(17))
        assert of_run(folder) == []
        assert TOKEN not in ended.screen
        wait_until_clean(others)
        assert others.process.poll() is None
