"""A dry run's trial of the reward: rules and functions on the first rows, judges by a live call.

    tried = rehearse(spec, first_rows(sources, look.data_sources))
    tried.means["math_reasoning"].reference   ->  1.0

What a start does (try_out.py), as far as it costs seconds and fractions of a cent: data is
not tokenized, no model is loaded, nothing is written. A judge that does not answer in time stops a
dry run when its address cannot be reached at all; where it is only slow, that is a warning.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from rewards.part import CannotStart, Row
from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RewardSpec, RuleSpec
from verlaunch.errors import Finding, UserError
from verlaunch.inputs.data import Dropped, MissingColumn, Source, normalise
from verlaunch.inputs.data.readers import records
from verlaunch.plan.reward import try_out
from verlaunch.plan.reward.answers import reference_of
from verlaunch.plan.reward.checks import runs_programs
from verlaunch.plan.reward.try_rules import LOOKED_AT, TRIED, Means, by_rules, try_rules

DEADLINE_S = 8.0  # with the two seconds of the plan itself, a dead endpoint is told within ten
CONNECT_S = 1.5

Ask = Callable[[PartSpec, float], Awaitable[list[str]]]
Findings = tuple[bool, list[Finding]]  # whether it answered, and what is to be told


@dataclass(frozen=True)
class Rehearsal:
    """means: by data_source. references: an answer of each, as scored. later: what a start tries.

    asked: judges and servers that answered.
    """

    means: Mapping[str, Means] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    asked: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


def first_rows(sources: Iterable[Source], labels: Iterable[str]) -> list[Row]:
    """A few good rows of each label, in the data's order; none of what lies on a hub."""
    missing = dict.fromkeys(labels, TRIED)
    found = []
    for row in _good_rows(source for source in sources if source.type != "hub"):
        if missing.get(row.data_source, 0) > 0:
            missing[row.data_source] -= 1
            found.append(row)
        if not any(missing.values()):
            break
    return found


def _good_rows(sources: Iterable[Source]) -> Iterator[Row]:
    for source in sources:
        for number, (where, record) in enumerate(records(source)):
            if number >= LOOKED_AT:
                break
            try:
                row = normalise(record, source, where)
            except (Dropped, MissingColumn):
                continue
            yield Row(row.data_source, "", row.ground_truth, row.extra, row.prompt)


def rehearse(spec: RewardSpec, rows: Sequence[Row]) -> Rehearsal:
    """Never raises for what is wrong with the reward: that is among the findings."""
    near, later = _without_servers(spec, rows)
    means, findings = _by_rules(spec, near)
    served = [part for part in spec.parts if _is_served(part)]
    answers = asyncio.run(_ask_all(served))
    later += [
        f"{part.name}: the model is loaded and tried when the run starts"
        for part in spec.parts
        if isinstance(part.source, ModelSpec) and not part.source.url
    ]
    if by_rules(spec) and not rows:
        later.append("the rules are tried on rows of the data when the run starts")
    return Rehearsal(
        means,
        {name: answer for name in means if (answer := _reference(near, name))},
        (*findings, *(finding for _, told in answers.values() for finding in told)),
        tuple(name for name, (answered, _) in answers.items() if answered),
        tuple(later),
    )


def _reference(rows: Sequence[Row], name: str) -> str | None:
    answers = (reference_of(row) for row in rows if row.data_source == name)
    return next((answer for answer in answers if answer is not None), None)


def _is_served(part: PartSpec) -> bool:
    return isinstance(part.source, JudgeSpec) or bool(getattr(part.source, "url", None))


def _without_servers(spec: RewardSpec, rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Rows whose programs a server of the user's would run wait for the start."""
    rules = [part.source for part in spec.parts if isinstance(part.source, RuleSpec)]
    labels = dict.fromkeys(row.data_source for row in rows)
    away = {
        name
        for name in labels
        if any(rule.sandbox_url and runs_programs(rule, name) for rule in rules)
    }
    later = [f"{name}: its programs run on --sandbox_url when the run starts" for name in away]
    return [row for row in rows if row.data_source not in away], later


def _by_rules(
    spec: RewardSpec, rows: Sequence[Row]
) -> tuple[Mapping[str, Means], tuple[Finding, ...]]:
    rules = by_rules(spec)
    if rules is None or not rows:
        return {}, ()
    try:
        means, _, notes = asyncio.run(try_rules(rules, rows))
    except (CannotStart, UserError) as error:
        return {}, tuple(map(Finding, getattr(error, "problems", (str(error),))))
    return means, tuple(Finding(note, stops=False) for note in notes)


async def _ask_all(parts: Sequence[PartSpec]) -> dict[str, Findings]:
    asked = await asyncio.gather(*[_ask(part) for part in parts])
    return {part.name: found for part, found in zip(parts, asked, strict=True)}


async def _ask(part: PartSpec) -> Findings:
    """A server of the user's may still be started before the run: that is no mistake yet."""
    is_judge = isinstance(part.source, JudgeSpec)
    ask: Ask = try_out.ask_judge if is_judge else try_out.ask_server
    try:
        notes = await ask(part, DEADLINE_S)
    except CannotStart as error:
        return False, [Finding(f"{part.name}: {error}", stops=is_judge)]
    except asyncio.TimeoutError:  # another class than TimeoutError in Python 3.10
        return False, [await _too_slow(part)]
    return True, [Finding(f"{part.name}: {note}", stops=False) for note in notes]


async def _too_slow(part: PartSpec) -> Finding:
    url = _url(part)
    if await _connects(url):
        return Finding(
            f"{part.name}: {_host(url)} is there, but gave no answers within {DEADLINE_S:g} s; a "
            "run waits longer (--rm_timeout), and every response waits as long.",
            stops=False,
        )
    return Finding(
        f"{part.name}: {_host(url)} cannot be reached (no answer within {DEADLINE_S:g} s). Check "
        "the network, and --rm_base_url or --rm_url if that is where it should be.",
        stops=isinstance(part.source, JudgeSpec),
    )


def _url(part: PartSpec) -> str:
    from rewards.judge.endpoint import find_endpoint

    source = part.source
    if isinstance(source, JudgeSpec):
        return find_endpoint(source, os.environ).base_url
    return str(getattr(source, "url", ""))


def _host(url: str) -> str:
    """Without a password that a URL may hold."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


async def _connects(url: str) -> bool:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        opened = asyncio.open_connection(parts.hostname, port)
        _, writer = await asyncio.wait_for(opened, CONNECT_S)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True
