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

from contest import Cell, Table, machine, median, versions, write_json

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from rewards.judge import rate_limits  # noqa: E402
from rewards.judge.ask import Ask  # noqa: E402
from rewards.judge.client import Client  # noqa: E402
from rewards.judge.endpoint import NO_KEY  # noqa: E402
from rewards.spec import JudgeSpec  # noqa: E402

SCHEMA = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "score": {"type": "integer", "enum": [1, 10]}},
    "required": ["reason", "score"],
}
ASK = Ask("Grade in JSON. " * 60, "A response of usual length. " * 150, SCHEMA)
WARM_UP_S = 2.0


@dataclass
class Throughput:
    concurrency: int
    latency_s: float
    answers_per_s: float
    ratio: float  # of concurrency / latency
    in_flight_max: int  # as the server saw it
    cpu_ms_per_answer: float


@dataclass
class Exactness:
    rpm: int
    minute_s: float
    max_per_minute: int  # as the server saw it
    answers: int
    in_flight_allowed: int
    in_flight_max: int  # as the server saw it


class Server:
    """tests/judge_servers.py in a process of its own, so that it takes no time of our loop."""

    def __init__(self, *options: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bench-judge-"))
        self._counters = self._folder / "counters.json"
        files = (
            "--key",
            NO_KEY,
            "--port-file",
            self._folder / "port",
            "--counters",
            self._counters,
        )
        program = (sys.executable, ROOT / "tests/judge_servers.py")
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


async def _throughput(url: str, concurrency: int, latency_s: float, seconds: float) -> Throughput:
    client = _client(url, concurrency=concurrency)
    done: list[float] = []
    start, cpu = time.monotonic(), time.process_time()
    await _keep_asking(client, WARM_UP_S + seconds, done)
    cpu_ms = 1000 * (time.process_time() - cpu) / len(done)
    await client.close()
    middle = sum(start + WARM_UP_S <= at < start + WARM_UP_S + seconds for at in done)
    rate = middle / seconds
    return Throughput(concurrency, latency_s, rate, rate * latency_s / concurrency, 0, cpu_ms)


async def _paced(url: str, rpm: int, concurrency: int, seconds: float) -> int:
    client = _client(url, concurrency=concurrency, rpm=rpm)
    done: list[float] = []
    await _keep_asking(client, seconds, done)
    await client.close()
    return len(done)


def measure_throughput(args: argparse.Namespace) -> Throughput:
    with Server("--latency-s", str(args.latency_s)) as server:
        work = _throughput(server.url, args.concurrency, args.latency_s, args.seconds)
        result = asyncio.run(work)
    return replace(result, in_flight_max=server.counters()["max_in_flight"])


def measure_exactness(args: argparse.Namespace) -> Exactness:
    rate_limits.MINUTE_S = args.minute_s
    concurrency = 16
    with Server("--latency-s", str(args.latency_s), "--minute-s", str(args.minute_s)) as server:
        answers = asyncio.run(_paced(server.url, args.rpm, concurrency, args.seconds))
    seen = server.counters()
    most = seen["max_per_minute"], answers, concurrency, seen["max_in_flight"]
    return Exactness(args.rpm, args.minute_s, *most)


def _of_rounds(found: list[Throughput]) -> Throughput:
    """The median of rate and cost, and the most that was ever in flight."""
    return replace(
        found[0],
        answers_per_s=median([each.answers_per_s for each in found]),
        ratio=median([each.ratio for each in found]),
        in_flight_max=max(each.in_flight_max for each in found),
        cpu_ms_per_answer=median([each.cpu_ms_per_answer for each in found]),
    )


def _line(name: str, allowed: float, seen: float) -> list[Cell]:
    return [name, round(allowed, 3), round(seen, 3), round(seen / allowed, 4)]


def lines(args: argparse.Namespace) -> tuple[list[list[Cell]], dict[str, float]]:
    """The table, and what stands beside it in the JSON."""
    throughput = _of_rounds([measure_throughput(args) for _ in range(args.rounds)])
    most = throughput.concurrency
    found = [
        _line("answers per s", most / throughput.latency_s, throughput.answers_per_s),
        _line("in flight, full speed", most, throughput.in_flight_max),
    ]
    if args.only != "throughput":
        paced = measure_exactness(args)
        found += [
            _line("requests per minute", paced.rpm, paced.max_per_minute),
            _line("in flight, paced", paced.in_flight_allowed, paced.in_flight_max),
        ]
    return found, {"cpu_ms_per_answer": round(throughput.cpu_ms_per_answer, 3)}


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
