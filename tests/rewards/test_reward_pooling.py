"""Reward models by vLLM, on tiny models: equal to transformers, and never left behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from rewards.models import pooling
from rewards.models.child import ROOT
from rewards.models.pooling import PoolingScorer
from rewards.models.probe import probe
from rewards.models.scorer import Encoded
from rewards.models.vllm_settings import engine_arguments
from rewards.part import CannotStart, Failure
from tests.reward_models import DECODER, make, reference

pytestmark = pytest.mark.slow

TOLERANCE = 1e-3
LENGTHS = (1, 2, 17, 100, 511, 512)
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def references(folder: Path, texts: list[list[int]]) -> list[float]:
    architecture = json.loads((folder / "config.json").read_text())["architectures"][0]
    return reference(folder, architecture, None, [{"input_ids": ids} for ids in texts])


def ids_of(length: int, seed: int = 0) -> list[int]:
    return [(seed + 37 * i * i + 11 * i) % 250 for i in range(length)]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """One loop for the module: a scorer belongs to the loop in which it was started."""
    loop = asyncio.new_event_loop()
    yield loop.run_until_complete
    loop.close()


def started(run: Run, folder: Path, **probing: Any) -> PoolingScorer:
    found = probe(folder, **probing)
    assert found.backend == "vllm"
    scorer = PoolingScorer(folder, folder, found, "cpu", 0)
    run(scorer.start())
    return scorer


def session_of(scorer: PoolingScorer) -> int:
    assert scorer._child and scorer._child.pid
    return scorer._child.pid


def processes_of(session: int) -> list[str]:
    """Those that still run: a dead one may wait for its parent to collect it."""
    listed = subprocess.run(["ps", "-eo", "sess=,stat=,args="], capture_output=True, text=True)
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [row[2] for row in rows if row[0] == str(session) and not row[1].startswith("Z")]


async def scores(scorer: PoolingScorer, texts: list[list[int]]) -> list[float]:
    return await asyncio.gather(*[scorer.score(Encoded(ids)) for ids in texts])


@pytest.fixture(scope="module")
def qwen3(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple]:
    folder = make(tmp_path_factory.mktemp("qwen3") / "rm", "Qwen3ForSequenceClassification")
    scorer = started(run, folder)
    session = session_of(scorer)
    yield folder, scorer
    run(scorer.close())
    assert processes_of(session) == []


def test_qwen3_scores_as_transformers_does_at_every_length(run: Run, qwen3: tuple) -> None:
    folder, scorer = qwen3
    texts = [ids_of(length) for length in LENGTHS]
    expected = references(folder, texts)
    assert run(scores(scorer, texts)) == pytest.approx(expected, abs=TOLERANCE)
    assert max(expected) - min(expected) > 100 * TOLERANCE


def test_padding_at_the_end_is_no_part_of_the_text(run: Run, qwen3: tuple) -> None:
    folder, scorer = qwen3
    padding = json.loads((folder / "config.json").read_text())["pad_token_id"]
    padded = [*ids_of(20), padding, padding]
    (expected,) = references(folder, [padded])
    assert run(scorer.score(Encoded(padded))) == pytest.approx(expected, abs=TOLERANCE)


def test_a_text_that_vllm_refuses_fails_alone(run: Run, qwen3: tuple) -> None:
    _, scorer = qwen3

    async def both() -> list[Any]:
        asked = [scorer.score(Encoded(ids_of(length))) for length in (600, 30)]
        return await asyncio.gather(*asked, return_exceptions=True)

    refused, scored = run(both())
    assert isinstance(refused, Failure) and "512 tokens" in refused.reason and not refused.final
    assert isinstance(scored, float)


def test_a_caller_that_gives_up_disturbs_nobody(run: Run, qwen3: tuple) -> None:
    _, scorer = qwen3

    async def one_leaves() -> list[float]:
        leaving = asyncio.create_task(scorer.score(Encoded(ids_of(500))))
        await asyncio.sleep(0)
        leaving.cancel()
        return await scores(scorer, [ids_of(40)] * 50)

    found = run(one_leaves())
    assert found == pytest.approx(run(scores(scorer, [ids_of(40)])) * 50, abs=TOLERANCE)


def test_two_layer_heads_are_read_at_the_last_token_of_texts_longer_than_a_step(
    run: Run, tmp_path: Path
) -> None:
    sizes = DECODER | {"max_position_embeddings": 4096}
    folder = make(tmp_path / "rm", "Qwen2ForRewardModel", **sizes)
    scorer = started(run, folder)
    texts = [ids_of(length) for length in (3, 90, 3500)]  # vLLM reads 2048 tokens in one step
    found = run(scores(scorer, texts))
    run(scorer.close())
    assert found == pytest.approx(references(folder, texts), abs=TOLERANCE)


@pytest.fixture()
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], PoolingScorer]:
    """A scorer whose child process is tests/pooling_child.py."""
    monkeypatch.setattr(pooling, "ENGINE", "tests.pooling_child")

    def scorer(name: str = "rm") -> PoolingScorer:
        folder = make(tmp_path / name, "LlamaForSequenceClassification")
        return PoolingScorer(folder, folder, probe(folder), "cpu", 0)

    return scorer


def test_nan_is_a_failure_of_its_row(run: Run, stand_in: Callable) -> None:
    scorer = stand_in()
    run(scorer.start())
    with pytest.raises(Failure, match="not a finite number") as caught:
        run(scorer.score(Encoded([0])))
    assert not caught.value.final
    assert run(scorer.score(Encoded([4, 5]))) == 9.0
    run(scorer.close())


def test_a_dead_engine_fails_everyone_with_its_last_words_and_stops_the_run(
    run: Run, stand_in: Callable
) -> None:
    scorer = stand_in()
    run(scorer.start())

    async def asked() -> list[Any]:
        texts = ([1], [2], [3])
        waiting = [scorer.score(Encoded(ids)) for ids in texts]
        return await asyncio.gather(*waiting, return_exceptions=True)

    for failure in [*run(asked()), *run(asked())]:
        assert isinstance(failure, Failure) and failure.final
        assert "exit code 7: CUDA error" in failure.reason
    run(scorer.close())


def test_what_vllm_cannot_load_names_the_way_out(run: Run, stand_in: Callable) -> None:
    scorer = stand_in("broken")
    with pytest.raises(CannotStart, match=r"no such head size: 24\).*--rm_backend transformers"):
        run(scorer.start())


def test_closing_fails_those_who_wait(run: Run, stand_in: Callable) -> None:
    scorer = stand_in()
    run(scorer.start())

    async def closed_under() -> Any:
        waiting = asyncio.create_task(scorer.score(Encoded([2])))
        await asyncio.sleep(0)
        await scorer.close()
        return await asyncio.gather(waiting, return_exceptions=True)

    (found,) = run(closed_under())
    assert isinstance(found, Failure) and "closed" in found.reason


ORPHAN = """
import asyncio
from rewards.models.child import Child
async def main():
    child = Child("rewards.models.vllm_child", {})
    await child.start()
    print(child.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def test_the_engine_dies_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    session = int(parent.stdout.readline())
    assert processes_of(session)
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    while processes_of(session):  # the suite's own limit would tell
        time.sleep(0.05)


def test_cards_are_as_many_as_divide_the_heads(tmp_path: Path) -> None:
    sizes = DECODER | {"hidden_size": 192, "num_attention_heads": 6, "num_key_value_heads": 2}
    folder = make(tmp_path / "rm", "LlamaForSequenceClassification", **sizes)
    found = probe(folder)
    cards = {
        gpus: engine_arguments(folder, folder, found, "cuda", gpus)["tensor_parallel_size"]
        for gpus in (0, 1, 2, 3, 4, 5, 8)
    }
    assert cards == {0: 1, 1: 1, 2: 2, 3: 2, 4: 2, 5: 2, 8: 6}


def test_cards_compute_in_bfloat16_and_the_cpu_in_float32(tmp_path: Path) -> None:
    folder = make(tmp_path / "rm", "LlamaForSequenceClassification")
    chosen = {
        device: engine_arguments(folder, folder, probe(folder), device, 0)["dtype"]
        for device in ("cpu", "cuda")
    }
    assert chosen == {"cpu": "float32", "cuda": "bfloat16"}
