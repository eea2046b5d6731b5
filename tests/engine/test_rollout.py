"""What a rollout worker asks vLLM for: a seed of each request, and where a response ends."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from omegaconf import OmegaConf

from verlaunch.engine.rollout.rollout import Outbox, RolloutWorker, seed_of

TWO = [{"role": "user", "content": "1+1="}]
PLAIN = {"temperature": 1.0, "top_p": 1.0}


def asked(
    sampling: dict[str, Any], *, n: int = 2, step: int = 1, validate: bool = False, **rollout: Any
) -> list[dict[str, Any]]:
    """The sampling parameters of a prompt's responses, in their order."""
    told: list[dict[str, Any]] = []

    async def respond(parameters: dict[str, Any], *_: Any, **__: Any) -> None:
        told.append(parameters)

    settings = {"n": n, "val_kwargs": {"n": n}, "seed": 1, **rollout}
    tree = OmegaConf.create({"actor_rollout_ref": {"rollout": settings}})
    worker = SimpleNamespace(config=tree, outbox=Outbox(), _run_agent_loop=respond)
    prompt = {"uid": "a", "index": 3, "raw_prompt": TWO}
    trajectory = {"step": step, "validate": validate}
    asyncio.run(RolloutWorker._run_prompt(worker, prompt, sampling, trajectory))
    return told


def test_each_response_has_a_seed_that_the_same_run_has_again() -> None:
    first, second = (told["seed"] for told in asked(PLAIN))
    assert first != second
    assert [first, second] == [told["seed"] for told in asked(PLAIN)]
    others = [asked(PLAIN, step=2), asked(PLAIN, validate=True), asked(PLAIN, seed=2)]
    assert len({first, second, *(told["seed"] for one in others for told in one)}) == 8


def test_a_seed_depends_on_the_row_and_its_text() -> None:
    same = seed_of(1, 1, False, 3, TWO, 0)
    assert same == 2595426433118969135  # on every machine
    assert same != seed_of(1, 1, False, 4, TWO, 0)
    assert same != seed_of(1, 1, False, 3, [{"role": "user", "content": "1+2="}], 0)


def test_what_is_not_drawn_needs_no_seed() -> None:
    assert all("seed" not in told for told in asked({"temperature": 0.0}, validate=True))


@pytest.mark.parametrize("validate", [False, True])
def test_responses_end_where_the_plan_says(validate: bool) -> None:
    told = asked(PLAIN, validate=validate, custom={"stop_token_ids": [11]})
    assert [one["stop_token_ids"] for one in told] == [[11], [11]]
    assert all("stop_token_ids" not in one for one in asked(PLAIN, validate=validate))
