#!/usr/bin/env python3
"""How near the judge's client comes to its limits, against a server in another process.

    .venv/bin/python scripts/bench/judge.py --json judge.json

throughput: answers per second with 64 in flight and a server that sleeps 200 ms over each, as a
share of 64/0.2, over the middle of the run; the median of the rounds. limits: the most requests
that the server saw in flight and within a minute, beside what was allowed; the minute is a short
one (--minute-s) on both sides, so that the benchmark takes seconds. The goals: a share of at least
0.95 in the first line, and of at most 1 in the others.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contest import ROOT, Cell, Table, machine, median, versions, write_json

from rewards.judge import rate_limits
from rewards.judge.ask import Ask
from rewards.judge.client import Client
from rewards.judge.endpoint import NO_KEY
from rewards.spec import JudgeSpec

SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "integer", "enum": [1, 10]}},
    "required": ["reason", "score"],
}
ASK = Ask("Grade in JSON. " * 60, "A response of usual length. " * 150, SCHEMA)
WARM_UP_S = 2.0
PACED = 16  # in flight, while requests are counted by the minute


@dataclass
class Throughput:
    answers_per_s: float
    cpu_ms_per_answer: float
    in_flight_max: int = 0  # as the server saw it


class Server:
    """tests/judge_servers.py in a process of its own, so that it takes no time of our loop."""

    def __init__(self, *options: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-judge-"))
        self._counters = self._folder / "counters.json"
        program = (sys.executable, ROOT / "tests/judge_servers.py", "--key", NO_KEY)
        files = ("--port-file", self._folder / "port", "--counters", self._counters)
        self._process = subprocess.Popen([str(part) for part in (*program, *files, *options)])

    def __enter__(self) -> "Server":
        port = self._folder / "port"
        while not port.exists():
            if self._process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.05)
        self.url = f"http://127.0.0.1:{port.read_text()}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def counters(self) -> dict[str, Any]:
        """After its end, when they are complete."""
        return json.loads(self._counters.read_text())


def _client(url: str, **limited: Any) -> Client:
    given = {"provider": "openai", "model": "judge", "base_url": url, **limited}
    return Client(JudgeSpec(system_prompt="", scoring_prompt="", **given), {})


async def _keep_asking(client: Client, seconds: float, done: list[float]) -> None:
    """Twice as many askers as there is room for, until the time is over."""
    end = time.monotonic() + seconds

    async def asker() -> None:
        while time.monotonic() < end:
            await client.ask(ASK)
            done.append(time.monotonic())

    await asyncio.gather(*(asker() for _ in range(128)))


async def _throughput(url: str, concurrency: int, seconds: float) -> Throughput:
    client = _client(url, concurrency=concurrency)
    done: list[float] = []
    start, cpu = time.monotonic(), time.process_time()
    await _keep_asking(client, WARM_UP_S + seconds, done)
    cpu_ms = 1000 * (time.process_time() - cpu) / len(done)
    await client.close()
    middle = sum(start + WARM_UP_S <= at < start + WARM_UP_S + seconds for at in done)
    return Throughput(middle / seconds, cpu_ms)


async def _paced(url: str, rpm: int, seconds: float) -> None:
    client = _client(url, concurrency=PACED, rpm=rpm)
    await _keep_asking(client, seconds, [])
    await client.close()


def measure_throughput(args: argparse.Namespace) -> Throughput:
    with Server("--latency-s", str(args.latency_s)) as server:
        result = asyncio.run(_throughput(server.url, args.concurrency, args.seconds))
    return replace(result, in_flight_max=server.counters()["max_in_flight"])


def measure_limits(args: argparse.Namespace) -> dict[str, Any]:
    """The server's counters."""
    rate_limits.MINUTE_S = args.minute_s
    with Server("--latency-s", str(args.latency_s), "--minute-s", str(args.minute_s)) as server:
        asyncio.run(_paced(server.url, args.rpm, args.seconds))
    return server.counters()


def _line(name: str, allowed: float, seen: float) -> list[Cell]:
    return [name, round(allowed, 3), round(seen, 3), round(seen / allowed, 4)]


def lines(args: argparse.Namespace) -> tuple[list[list[Cell]], dict[str, float]]:
    """The table, and what stands beside it in the JSON."""
    rounds = [measure_throughput(args) for _ in range(args.rounds)]
    rate = median([each.answers_per_s for each in rounds])
    in_flight = max(each.in_flight_max for each in rounds)
    found = [
        _line("answers per s", args.concurrency / args.latency_s, rate),
        _line("in flight, full speed", args.concurrency, in_flight),
    ]
    if args.only != "throughput":
        seen = measure_limits(args)
        found += [
            _line("requests per minute", args.rpm, seen["max_per_minute"]),
            _line("in flight, paced", PACED, seen["max_in_flight"]),
        ]
    return found, {"cpu_ms_per_answer": round(median([r.cpu_ms_per_answer for r in rounds]), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency-s", type=float, default=0.2)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rpm", type=int, default=200)
    parser.add_argument("--minute-s", type=float, default=4.0)
    parser.add_argument("--only", choices=("throughput",), help="leave the limits out")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    print(machine())
    found, beside = lines(args)
    table = Table(("what", "limit", "seen", "share"), found)
    print(table.text())
    write_json(args.json, table, versions=versions("httpx", "openai"), **beside)


if __name__ == "__main__":
    main()
