"""Dynamic batching: what runs together, when it starts, and what a failure reaches."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.models.batching import Batcher, TooBig
from rewards.part import Failure

HOUR = 3600.0
Text = str


class Model:
    """Scores a text by its length, and remembers its batches. gate: what it waits for."""

    def __init__(self, gate: asyncio.Event | None = None) -> None:
        self.batches: list[list[Text]] = []
        self.running, self.most_running = 0, 0
        self._gate = gate

    async def __call__(self, batch: list[Text]) -> list[float]:
        self.batches.append(batch)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        if self._gate is not None:
            await self._gate.wait()
        await asyncio.sleep(0)
        self.running -= 1
        return [float(len(text)) for text in batch]


def run(job: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(job(), 30)  # a hang should be a failure, not a stuck suite

    asyncio.run(limited())


async def ask(batcher: Batcher[Text], texts: list[Text]) -> list[float | BaseException]:
    return await asyncio.gather(*map(batcher.score, texts), return_exceptions=True)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 100), st.integers(1, 3)
)
def test_everyone_gets_their_own_score_and_no_batch_is_over_its_tokens(
    lengths: list[int], max_tokens: int, replicas: int
) -> None:
    async def job() -> None:
        model = Model()
        batcher = Batcher([model] * replicas, len, max_tokens, window_s=0)
        assert await ask(batcher, ["x" * length for length in lengths]) == lengths
        for batch in model.batches:
            assert len(batch) == 1 or len(batch) * max(map(len, batch)) <= max_tokens
        assert batcher.requests == len(lengths) and batcher.batches == len(model.batches)
        await batcher.close()

    run(job)


def test_without_room_for_tokens_everybody_is_alone() -> None:
    async def job() -> None:
        model = Model()
        assert await ask(Batcher([model], len, 0, window_s=0), ["ab", "", "abc"]) == [2, 0, 3]
        assert sorted(model.batches) == [[""], ["ab"], ["abc"]]

    run(job)


def test_a_full_batch_does_not_wait_for_the_window() -> None:
    async def job() -> None:
        model = Model()
        batcher = Batcher([model], len, max_tokens=4, window_s=HOUR)
        assert await ask(batcher, ["aa", "bb"]) == [2, 2]
        assert model.batches == [["aa", "bb"]]
        await batcher.close()

    run(job)


def test_a_lonely_request_waits_no_longer_than_the_window() -> None:
    async def job() -> None:
        batcher = Batcher([Model()], len, max_tokens=1000)
        assert await batcher.score("abc") == 3
        slow = Batcher([Model()], len, max_tokens=1000, window_s=HOUR)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(slow.score("abc"), 0.05)
        await batcher.close()
        await slow.close()

    run(job)


def test_what_arrives_while_the_model_computes_runs_together_next() -> None:
    async def job() -> None:
        gate = asyncio.Event()
        model = Model(gate)
        batcher = Batcher([model], len, max_tokens=100, window_s=0)
        first = asyncio.ensure_future(batcher.score("a"))
        while not model.batches:
            await asyncio.sleep(0)
        rest = asyncio.ensure_future(ask(batcher, ["bb", "ccc", "d"]))
        await asyncio.sleep(0.01)
        gate.set()
        assert await first == 1 and await rest == [2, 3, 1]
        assert model.batches == [["a"], ["ccc", "bb", "d"]]
        await batcher.close()

    run(job)


def test_texts_of_similar_length_run_together() -> None:
    async def job() -> None:
        model = Model()
        batcher = Batcher([model], len, max_tokens=40, window_s=0)
        await ask(batcher, ["x" * 20, "y", "x" * 19, "y", "y" * 2, "y"])
        assert sorted([len(text) for text in batch] for batch in model.batches) == [
            [2, 1, 1, 1],
            [20, 19],
        ]
        await batcher.close()

    run(job)


def test_replicas_work_at_the_same_time() -> None:
    async def job() -> None:
        gate, model = asyncio.Event(), Model()
        model = Model(gate)
        batcher = Batcher([model, model], len, max_tokens=1, window_s=0)
        found = asyncio.ensure_future(ask(batcher, ["a", "b", "c"]))
        while model.running < 2:
            await asyncio.sleep(0)
        gate.set()
        assert await found == [1, 1, 1] and model.most_running == 2
        await batcher.close()

    run(job)


@pytest.mark.parametrize("bad", [0, 3, 7])
def test_one_bad_input_fails_alone(bad: int) -> None:
    async def poisoned(batch: list[Text]) -> list[float]:
        if any("poison" in text for text in batch):
            raise ValueError("index out of range")
        return [1.0] * len(batch)

    async def job() -> None:
        texts = [f"text {i}" for i in range(8)]
        texts[bad] = "poison"
        batcher = Batcher([poisoned], len, max_tokens=1000, window_s=0)
        found = await ask(batcher, texts)
        failure = found.pop(bad)
        assert found == [1.0] * 7
        assert isinstance(failure, Failure) and not failure.final
        assert (failure.kind, failure.reason) == (
            "reward_model",
            "ValueError: index out of range",
        )
        assert batcher.max_tokens == 1000
        await batcher.close()

    run(job)


def test_too_little_memory_makes_batches_smaller_for_good() -> None:
    sizes: list[int] = []

    async def small(batch: list[Text]) -> list[float]:
        sizes.append(len(batch))
        if len(batch) * len(batch[0]) > 30:
            raise TooBig("out of memory")
        return [1.0] * len(batch)

    async def job() -> None:
        batcher = Batcher([small], len, max_tokens=100, window_s=0)
        assert await ask(batcher, ["x" * 10] * 10) == [1.0] * 10
        sizes.clear()
        assert await ask(batcher, ["x" * 10] * 10) == [1.0] * 10
        assert max(sizes) <= 3
        (failure,) = await ask(batcher, ["x" * 31])
        assert isinstance(failure, Failure) and failure.reason == "TooBig: out of memory"
        assert batcher.max_tokens >= 15
        await batcher.close()

    run(job)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_fails_its_row_alone(value: float) -> None:
    async def model(batch: list[Text]) -> list[float]:
        return [value if text == "bad" else 1.0 for text in batch]

    async def job() -> None:
        batcher = Batcher([model], len, max_tokens=100, window_s=0)
        good, bad = await ask(batcher, ["good", "bad"])
        assert good == 1.0
        assert isinstance(bad, Failure) and bad.reason == f"the model gave {value} for 3 tokens"
        await batcher.close()

    run(job)


def test_whoever_gives_up_is_not_run_and_disturbs_nobody() -> None:
    async def job() -> None:
        gate = asyncio.Event()
        model = Model(gate)
        batcher = Batcher([model], len, max_tokens=100, window_s=0)
        running = asyncio.ensure_future(batcher.score("running"))
        while not model.batches:
            await asyncio.sleep(0)
        gone, stays = (asyncio.ensure_future(batcher.score(text)) for text in ("gone", "stays"))
        await asyncio.sleep(0)
        gone.cancel()
        running.cancel()
        gate.set()
        assert await stays == 5
        assert model.batches == [["running"], ["stays"]]
        await batcher.close()

    run(job)


def test_closing_fails_what_still_waits_and_what_runs() -> None:
    async def job() -> None:
        model = Model(asyncio.Event())  # never set
        batcher = Batcher([model], len, max_tokens=1, window_s=0)
        asked = asyncio.ensure_future(ask(batcher, ["a", "b", "c"]))
        while not model.batches:
            await asyncio.sleep(0)
        await batcher.close()
        for failure in await asked:
            assert isinstance(failure, Failure) and "was closed" in failure.reason
        (late,) = await ask(batcher, ["d"])
        assert isinstance(late, Failure)

    run(job)
