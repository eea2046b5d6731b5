"""Ray in a test's own process: a cluster that the test asks for, and none that it leaves behind."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.judge_servers import KEY
from verlaunch.engine.environment import ALONE

SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": "t" * 32, "OPENAI_API_KEY": KEY}


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, with a cluster of four CPUs on loopback behind it."""
    import ray

    for name, value in {**SETTINGS, **ALONE}.items():
        monkeypatch.setenv(name, value)  # before the start: actors inherit it
    ray.init("local", num_cpus=4, include_dashboard=False, namespace="t", log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture(autouse=True)
def _no_ray_left() -> Iterator[None]:
    """Most of Ray's functions start a cluster where there is none: the next test would meet it."""
    yield
    if (ray := sys.modules.get("ray")) is not None and ray.is_initialized():
        ray.shutdown()
        pytest.fail("this test has left a Ray cluster running: let it use the fixture `ray`")
