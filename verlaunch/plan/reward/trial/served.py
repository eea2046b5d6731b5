"""Asks a judge, or a reward model on a server, two live questions: the one place before a run.

    asked = await ask(part, deadline_s=8.0)
    asked.answered, asked.findings

With a deadline, a judge that does not answer is a mistake when its address cannot be reached at
all; where it is only slow, that is a warning. Without one (a start, the doctor) it has as long as
in a run, and its cache is opened as well, to see that it can be written.
"""

import asyncio
import os
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from rewards.part import CannotStart
from rewards.spec import JudgeSpec, PartSpec
from verlaunch.errors import Finding
from verlaunch.plan.reward.rows import judge_notes

CONNECT_S = 1.5
RETRIES = 2


@dataclass(frozen=True)
class Asked:
    name: str
    answered: bool
    findings: tuple[Finding, ...]


def is_served(part: PartSpec) -> bool:
    return isinstance(part.source, JudgeSpec) or bool(getattr(part.source, "url", None))


async def _start(part: PartSpec, deadline_s: float | None) -> list[str]:
    """Notes about what came. Raises CannotStart, and asyncio.TimeoutError at the deadline."""
    from rewards.build import make_part

    source, known = part.source, []
    if isinstance(source, JudgeSpec):
        known = judge_notes(source)  # the plan has told them
        # A server that is not there now is a mistake to tell, not an outage to sit out.
        source = replace(source, retries=min(source.retries, RETRIES))
        source = source if deadline_s is None else replace(source, cache=None)
    live = make_part(source)
    try:
        told = await asyncio.wait_for(live.start(), deadline_s)
        return [note for note in told if note not in known]
    finally:
        await live.close()


async def ask(part: PartSpec, deadline_s: float | None = None) -> Asked:
    """A server of the user's may still be started after a dry run: that is no mistake yet."""
    stops = deadline_s is None or isinstance(part.source, JudgeSpec)
    try:
        notes = await _start(part, deadline_s)
    except CannotStart as error:
        return Asked(part.name, False, (Finding(f"{part.name}: {error}", stops=stops),))
    except asyncio.TimeoutError:  # another class than TimeoutError in Python 3.10
        return Asked(part.name, False, (await _too_slow(part, deadline_s),))
    findings = (Finding(f"{part.name}: {note}", stops=False) for note in notes)
    return Asked(part.name, True, tuple(findings))


async def _too_slow(part: PartSpec, deadline_s: float | None) -> Finding:
    url = _url(part)
    if await _connects(url):
        return Finding(
            f"{part.name}: {_host(url)} is there, but gave no answers within {deadline_s:g} s; a "
            "run waits longer (--rm_timeout), and every response waits as long.",
            stops=False,
        )
    return Finding(
        f"{part.name}: {_host(url)} cannot be reached (no answer within {deadline_s:g} s). Check "
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
