"""The run's one reward actor, on a real Ray cluster: limits are global, its death is no crash."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from rewards.part import Row
from rewards.spec import JudgeSpec, PartSpec, RewardSpec, to_dict
from tests.judge_servers import KEY, JudgeServer
from verlaunch.engine.actors import NAME

pytestmark = pytest.mark.slow

WORKERS, ROWS, AT_ONCE = 3, 20, 4


def configuration(server: JudgeServer, tmp_path: Path) -> dict[str, Any]:
    """What verl hands to a reward manager, as far as ours reads it."""
    from verlaunch.engine.reward import settings as reward_settings

    judge: JudgeSpec = server.spec(
        concurrency=AT_ONCE, scoring_prompt="Problem ${x}: {prompt}\n{response}"
    )
    spec = RewardSpec((PartSpec("judge_score", judge),), {"judge_score": 1.0})
    config: dict[str, Any] = {"reward": {}, "trainer": {"resume_from_path": None}}
    reward_settings.put(config, to_dict(spec), {})
    return config


def row(worker: int, number: int) -> dict[str, Any]:
    return asdict(
        Row("s", f"answer {worker}.{number}", messages=[{"role": "user", "content": "?"}])
    )


def test_limits_hold_for_all_workers_together(ray: Any, tmp_path: Path) -> None:
    from verlaunch.engine.reward import actor as reward_actor

    @ray.remote
    def work(worker: int) -> list[tuple]:
        actor = ray.get_actor(NAME)
        return ray.get([actor.score.remote(row(worker, number)) for number in range(ROWS)])

    with JudgeServer("openai", judge=lambda text: 10, latency_s=0.02) as server:
        actor = reward_actor.start(configuration(server, tmp_path), gpus=0)
        notes = ray.get(actor.begin.remote([], []))
        results = [one for got in ray.get([work.remote(i) for i in range(WORKERS)]) for one in got]
        report = ray.get(actor.report.remote())
        ray.get(actor.close.remote())
        prompts = {request.prompt for request in server.requests}
    assert any("friendly answer 10" in note for note in notes)  # it praises everything
    assert [score for score, _, failed, *_ in results if not failed] == [1.0] * WORKERS * ROWS
    assert server.max_in_flight == AT_ONCE and all("Problem ${x}" in text for text in prompts)
    assert report["stop"] is None and report["curves"]["judge/calls"] >= WORKERS * ROWS
    assert report["state"]["judge_score"]["tally"]["seen"]["score"] == WORKERS * ROWS
    assert KEY not in str(report) + str(notes)


def test_a_dead_actor_is_a_failed_row_and_no_exception(ray: Any, tmp_path: Path) -> None:
    from omegaconf import OmegaConf

    from verlaunch.engine.reward import actor as reward_actor
    from verlaunch.engine.reward.manager import RewardManager

    class Letters:
        def decode(self, ids: list[int], **how: bool) -> str:
            return "".join(map(chr, ids))

    columns = {"data_source": "s", "reward_model": {"ground_truth": ""}, "raw_prompt": []}
    with JudgeServer("openai", judge=lambda text: 5) as server:
        config = configuration(server, tmp_path)
        actor = reward_actor.start(config, gpus=0)
        ray.get(actor.begin.remote([], []))
        manager = RewardManager(OmegaConf.create(config), Letters(), None)
        alive = asyncio.run(manager.score([72, 105], columns))
        ray.kill(actor)
        dead = asyncio.run(manager.score([72, 105], columns))
    assert (alive.score, alive.failed) == (pytest.approx(4 / 9), False)
    assert dead.failed and "process died" in (dead.reason or "")
