"""Does this reward teach anything? A sentence for each thing that is wrong, the worst first.

    for finding in verdict(source):
        print(finding.level, finding.text)

Left out on purpose: whether the reward is worth learning; only the samples of a run tell.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_args

from verlaunch.plan.reward.trial.measure import Scored
from verlaunch.plan.reward.trial.on_attack import on_attack
from verlaunch.plan.reward.trial.on_references import NO_REFERENCE, on_references
from verlaunch.plan.reward.trial.remark import NAMES, Level, Remark, digits
from verlaunch.plan.reward.trial.summary import Source
from verlaunch.text import plural
from verlaunch.tools.score.on_responses import on_responses

MOST_FAILED = 0.2  # of the calls; the share at which a run stops


def _kinds(failed: Sequence[Scored]) -> str:
    kinds = Counter(said.kind for one in failed for said in one.said.values() if said.kind)
    return ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())


def _failures(source: Source) -> Iterator[Remark]:
    if not source.failed:
        return
    first = source.failed[0]
    why = f"the first, on {NAMES.get(first.answer.kind, 'a response')}: {first.result.reason}"
    if len(source.failed) == source.calls:
        told = any(one.answer.kind == "reference" for one in source.failed)
        yield Remark("bad", f"nothing could be scored; {why if told else NO_REFERENCE}")
        return
    level: Level = "bad" if len(source.failed) > MOST_FAILED * source.calls else "look"
    said = f"{len(source.failed)} of {plural(source.calls, 'call')} failed"
    yield Remark(level, f"{said} ({_kinds(source.failed)}); {why}")


def _parts(source: Source) -> Iterator[Remark]:
    weighed = [part for part in source.parts if part.weight]
    for part in weighed if len(weighed) > 1 else ():
        if part.is_constant:
            value = digits(next(iter(part.means.values())))
            yield Remark("look", f"{part.name} is {value} for every answer: it adds nothing")


def verdict(source: Source) -> list[Remark]:
    found = [*_failures(source)]
    if source.good:
        found += [*on_references(source), *on_attack(source)]
        found += [*on_responses(source), *_parts(source)]
    return sorted(found, key=lambda finding: get_args(Level).index(finding.level))
