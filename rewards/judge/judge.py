"""The reward of an LLM judge: its mean score of a response, brought to [0, 1].

    judge = Judge(judge_spec({"api_type": "openai", "prompt_preset": "math"}))
    await judge.start()  # two live calls: is there a judge, and can it tell right from wrong?
    await judge.score(Row("math", "12", "12", messages=[{"role": "user", "content": "5 + 7?"}]))
    # {"score": 1.0, "judge_raw": 10.0, "judge_cached": 0.0, ...}

An answer that cannot be read is asked for again; what stays unreadable, refused or unreachable is
a Failure and never a low score. Left out on purpose: limits, retries and keys (client.py), and
what a failed row counts (rewards/tally.py).
"""

import asyncio
import json
from collections import Counter

from rewards.judge.ask import Answer
from rewards.judge.cache import Cache, cache_key
from rewards.judge.client import Client
from rewards.judge.parse import SHOWN, Unparsable, read_score
from rewards.judge.precheck import answers_nothing
from rewards.judge.prompts import NO_NONCE, SCORE, Request, build
from rewards.judge.retired import model_notes
from rewards.judge.shown import reference
from rewards.judge.thoughts import only_object
from rewards.part import CannotStart, Failure, Part, Row
from rewards.spec import JudgeSpec

ASKED_AGAIN = 2  # times, when an answer cannot be read

_QUESTION = ({"role": "user", "content": "What is 7 + 5? Show how you get there."},)
_GOOD = Row("probe", "7 + 3 is 10, and 2 more make 12. So 7 + 5 = 12.", "12", None, _QUESTION)
# Bad by any standard that a prompt may set: wrong, rude and of no use.
_BAD = Row("probe", "It is 75. Only a fool would have to ask that.", "12", None, _QUESTION)


def _misplaced(thought: str) -> str:
    """The answer that a server took for a thought, since the template had closed that itself.

    Only a whole one, as a draft within a thought is none. Raises Unparsable.
    """
    if thought and not (found := only_object(thought)):
        raise Unparsable(
            "its content is empty, and what it wrote is called reasoning: set thinking: off, or "
            f"start its server without a reasoning parser ({thought.strip()[:SHOWN]!r})"
        )
    return found if thought else ""


class Judge(Part):
    """judge_raw: the mean on the prompt's scale. judge_cached: share of samples without a call."""

    keys = ("judge_raw", "judge_cached", "judge_skipped", "judge_truncated")
    floor = 0.0

    def __init__(
        self, spec: JudgeSpec, client: Client | None = None, cache: Cache | None = None
    ) -> None:
        self.spec = spec
        self.client = Client(spec) if client is None else client
        self.cache = Cache(spec.cache) if cache is None and spec.cache else cache
        self._asking: dict[str, asyncio.Task[int]] = {}
        self._counts: Counter[str] = Counter()

    async def start(self) -> list[str]:
        """Nothing of it is cached: the point is to see that the judge answers now."""
        try:
            good, bad = await self._grade(_GOOD), await self._grade(_BAD)
        except Failure as failure:
            raise CannotStart(f"the judge cannot score: {failure.reason}") from None
        notes = [*self.client.notes, *model_notes(self.spec.provider, self.spec.model)]
        if good <= bad:
            notes.append(
                f"the judge {self.spec.model} gave a right and friendly answer {good}, and a wrong "
                f"and rude one {bad}; look at its prompts unless they ask for something else"
            )
        return notes

    async def score(self, row: Row) -> dict[str, float]:
        if answers_nothing(row.response, reference(row.ground_truth)):
            self._counts["skipped"] += 1
            return self._scores(float(self.spec.scale[0]), skipped=True)
        self._counts["asked"] += 1
        try:
            return await self._sampled(row)
        except Failure:
            self._counts["failed"] += 1
            raise

    async def _sampled(self, row: Row) -> dict[str, float]:
        """The mean of the samples that succeed, when those are at least half."""
        same = build(self.spec, row, NO_NONCE)
        found = await asyncio.gather(
            *[self._sample(row, self._key(same, index)) for index in range(self.spec.samples)],
            return_exceptions=True,
        )
        failures = [one for one in found if isinstance(one, BaseException)]
        valid = [one for one in found if not isinstance(one, BaseException)]
        fatal = next((one for one in failures if getattr(one, "final", True)), None)
        if fatal or 2 * len(valid) < self.spec.samples:
            raise fatal or failures[0]
        raw = sum(score for score, _ in valid) / len(valid)
        cached = sum(was_free for _, was_free in valid) / len(valid)
        return self._scores(raw, cached=cached, truncated=same.truncated)

    async def _sample(self, row: Row, key: str) -> tuple[int, bool]:
        """A score, and whether it was had without a call: known, or just being asked for."""
        if (known := self._known(key)) is not None:
            self._counts["cache_hits"] += 1
            return known, True
        if shared := key in self._asking:
            self._counts["cache_hits"] += 1
        else:
            self._asking[key] = asyncio.ensure_future(self._grade_and_keep(row, key))
            self._asking[key].add_done_callback(lambda _: self._asking.pop(key))
        # a caller that is cancelled leaves the work to the others
        return await asyncio.shield(self._asking[key]), shared

    async def _grade_and_keep(self, row: Row, key: str) -> int:
        score = await self._grade(row)
        if self.cache is not None:
            self.cache.put(key, {SCORE: score})
        return score

    async def _grade(self, row: Row) -> int:
        """One judgement, with a new nonce at each try. Raises Failure."""
        reason = ""
        for _ in range(1 + ASKED_AGAIN):
            request = build(self.spec, row)
            answer = await self.client.ask(request.ask)
            try:
                return self._read(answer, request)
            except Unparsable as error:
                self._counts["unparsable"] += 1
                reason = str(error)
        raise Failure(
            "judge_unparsable",
            f"{self.spec.model} gave no score in {1 + ASKED_AGAIN} answers; of the last: {reason}",
        )

    def _read(self, answer: Answer, request: Request) -> int:
        if answer.finish == "refusal":
            said = f": {answer.text.strip()[:200]!r}" if answer.text.strip() else ""
            raise Failure("judge_refused", f"{self.spec.model} refused to grade a response{said}")
        if answer.finish == "length":
            too_few = f"it was cut after max_tokens: {self.spec.max_tokens}"
            thinks = " (thinking: off spares it what it thinks)" if answer.thought else ""
            raise Unparsable(f"{too_few}; raise that{thinks}")
        text = answer.text if answer.text.strip() else _misplaced(answer.thought)
        return read_score(text, self.spec.scale, request.response, self.spec.lenient)

    def _key(self, same: Request, index: int) -> str:
        """Of all that the score depends on: a change in any prompt or rule is another key."""
        spec, ask = self.spec, same.ask
        where = (spec.provider, spec.model, spec.base_url or "", spec.region or "")
        asked = (ask.system, ask.user, json.dumps(ask.schema), str(ask.max_tokens))
        quiet = () if spec.thinking is None else ("quiet",)
        return cache_key("judge", *where, *asked, str(index), *quiet)

    def _known(self, key: str) -> int | None:
        found = self.cache.get(key) if self.cache is not None else None
        score = found.get(SCORE) if found else None
        low, high = self.spec.scale
        return score if isinstance(score, int) and low <= score <= high else None

    def _scores(
        self, raw: float, cached: float = 0.0, skipped: bool = False, truncated: bool = False
    ) -> dict[str, float]:
        low, high = self.spec.scale
        self._counts["truncated"] += truncated
        return {
            "score": (raw - low) / (high - low),
            "judge_raw": raw,
            "judge_cached": cached,
            "judge_skipped": float(skipped),
            "judge_truncated": float(truncated),
        }

    def curves(self) -> dict[str, float]:
        """Those of the client, and judge/fail_rate: failed rows among those asked about."""
        counted = ("cache_hits", "unparsable", "skipped", "truncated")
        return {
            **self.client.curves(),
            **{f"judge/{name}": float(self._counts[name]) for name in counted},
            "judge/fail_rate": self._counts["failed"] / max(1, self._counts["asked"]),
        }

    async def close(self) -> None:
        for task in (tasks := list(self._asking.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.client.close()
        if self.cache is not None:
            self.cache.close()
