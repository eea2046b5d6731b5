"""SandboxFusion over real HTTP: a loopback server that speaks its protocol, and misbehaves."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rewards.part import CannotStart, Failure
from rewards.rules.code import compute_score
from rewards.sandbox import fusion
from rewards.sandbox.fusion import run_remote
from rewards.sandbox.local import Job
from rewards.sandbox.tiers import isolation

FIELDS = {
    *("code", "language", "stdin", "run_timeout", "compile_timeout", "memory_limit_MB"),
    *("files", "fetch_files", "args"),
}


def execute(request: dict[str, Any]) -> dict[str, Any]:
    """As the real one does without isolation: Python in a process, with a time limit."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", request["code"]],
            input=request.get("stdin") or "",
            capture_output=True,
            text=True,
            timeout=request["run_timeout"],
        )
    except subprocess.TimeoutExpired:
        return _answer("Failed", "TimeLimitExceeded", None, "")
    status = "Success" if done.returncode == 0 else "Failed"
    return _answer(status, "Finished", done.returncode, done.stdout)


def _answer(status: str, run_status: str, code: int | None, stdout: str) -> dict[str, Any]:
    result = {"status": run_status, "execution_time": 0.1, "return_code": code}
    result |= {"stdout": stdout, "stderr": ""}
    return {"status": status, "message": "", "compile_result": None, "run_result": result}


@dataclass
class Server:
    """faults: what the first requests get, each a status, a body, or a way to break off."""

    url: str = ""
    faults: list[Any] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, request: dict[str, Any]) -> Any:
        with self.lock:
            self.requests.append(request)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            return self.faults.pop(0) if self.faults else execute

    def leave(self) -> None:
        with self.lock:
            self.in_flight -= 1


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)
            fault = server.enter(request)
            try:
                if self.path != "/run_code":
                    self._send(404, {"detail": "Not Found"})
                elif not request.keys() <= FIELDS or request["language"] != "python":
                    self._send(422, {"detail": "unknown field"})
                elif fault == "reset":
                    self.connection.close()
                elif fault == "truncated":
                    self._send(200, {"status": "Success"}, cut=5)
                elif isinstance(fault, int):
                    self._send(fault, {"detail": "busy"})
                else:
                    self._send(200, fault(request) if callable(fault) else fault)
            finally:
                server.leave()

        def _send(self, status: int, body: Any, cut: int = 0) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text[: len(text) - cut])

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextmanager
def serving(*faults: Any) -> Iterator[Server]:
    server = Server(faults=list(faults))
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "FIRST_WAIT_S", 0.01)


def score(response: str, tests: Any, url: str, **options: Any) -> dict[str, float]:
    return asyncio.run(compute_score("code", response, tests, sandbox_url=url, **options))


DOUBLE = "```python\nprint(int(input()) * 2)\n```"
PAIRS = {"inputs": ["1", "2", "3"], "outputs": ["2", "4", "5"]}


def test_every_form_of_tests_runs_there() -> None:
    with serving() as server:
        scored = score(DOUBLE, PAIRS, server.url)
        assert scored == {
            "score": pytest.approx(2 / 3),
            "compiled": 1.0,
            "passed_all": 0.0,
            "timeouts": 0.0,
        }
        square = "def f(x):\n    print('noise', end='')\n    return x * x"
        assert score(square, ["assert f(3) == 9", "assert f(2) == 5"], server.url)["score"] == 0.5
        calls = {"fn_name": "f", "inputs": [[2]], "outputs": [4]}
        assert score(square, calls, server.url + "/run_code")["passed_all"] == 1.0


def test_what_is_sent_holds_no_expected_value() -> None:
    with serving() as server:
        score("def f(x): return x", ["assert f(3) == 887766"], server.url)
        score("print(1)", {"inputs": ["1"], "outputs": ["887766"]}, server.url)
        assert len(server.requests) == 2 and "887766" not in json.dumps(server.requests)


def test_limits_are_passed_on() -> None:
    with serving() as server:
        score(DOUBLE, PAIRS, server.url, timeout_s=3.0, memory_mib=77)
        assert {r["run_timeout"] for r in server.requests} == {3.0}
        assert {r["memory_limit_MB"] for r in server.requests} == {77}


def test_a_program_that_is_no_python_is_sent_once() -> None:
    with serving() as server:
        assert score("print(", PAIRS, server.url) == {
            "score": 0.0,
            "compiled": 0.0,
            "passed_all": 0.0,
            "timeouts": 0.0,
        }
        assert len(server.requests) == 1


def test_after_three_hangs_the_rest_is_not_sent() -> None:
    hang = _answer("Failed", "TimeLimitExceeded", None, "")
    tests = {"inputs": ["1"] * 20, "outputs": ["1"] * 20}
    with serving(*[hang] * 20) as server:
        scored = score("while True: pass", tests, server.url)
        assert scored["timeouts"] == 1.0 and scored["score"] == 0.0
        assert len(server.requests) == 4


def test_a_program_that_hangs_there_is_out_of_time() -> None:
    with serving() as server:
        tests = {"inputs": ["1"], "outputs": ["1"]}
        assert score("while True: pass", tests, server.url, timeout_s=0.3)["timeouts"] == 1.0


# Python of theirs that cannot run our side of the test: every program would score zero
TRACEBACK = _answer("Failed", "Finished", 1, "")
BROKEN_ERROR = {"status": "SandboxError", "message": "no disk", "run_result": None}
FAULTS = [500, 503, 429, "reset", "truncated", [], {}, "text", BROKEN_ERROR]
FAULTS += [
    TRACEBACK,
    _answer("Success", "Error", None, ""),
    {"status": "Failed", "run_result": None},
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault)[:40])
def test_what_went_wrong_there_is_tried_again(fault: Any) -> None:
    with serving(fault, fault) as server:
        scored = score(DOUBLE, {"inputs": ["1"], "outputs": ["2"]}, server.url)
        assert scored["score"] == 1.0 and len(server.requests) == 3


@pytest.mark.parametrize("fault", [500, "reset", BROKEN_ERROR], ids=["500", "reset", "error"])
def test_a_sandbox_that_stays_broken_is_a_failure_and_no_score(fault: Any) -> None:
    with serving(*[fault] * 100) as server:
        with pytest.raises(Failure) as caught:
            score(DOUBLE, {"inputs": ["1"], "outputs": ["2"]}, server.url)
        assert caught.value.kind == "sandbox" and not caught.value.final
        assert len(server.requests) == fusion.TRIES


def test_a_sandbox_that_hangs_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fusion, "SLACK_S", 0.2)
    monkeypatch.setattr(fusion, "TRIES", 2)
    over = threading.Event()

    def hang(_: Any) -> dict[str, Any]:
        over.wait(10)
        return {}

    task = {"source": None, "stdin": ""}
    with serving(hang, hang) as server:
        with pytest.raises(Failure, match="Timeout"):
            run_remote(server.url, Job("print(1)", (task,), 0.1), task, threading.Event(), tries=2)
        over.set()
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_request_that_is_refused_ends_the_run(status: int) -> None:
    with serving(status) as server, pytest.raises(Failure) as caught:
        score(DOUBLE, PAIRS, server.url)
    assert caught.value.final and str(status) in caught.value.reason


def test_no_more_requests_are_in_flight_than_allowed() -> None:
    def slow(request: dict[str, Any]) -> dict[str, Any]:
        time.sleep(0.02)
        mark = request["code"].rpartition("run_remote('")[2].partition("'")[0]
        return _answer("Success", "Finished", 0, f'{mark}{{"compiled": true}}\n2')

    tests = {"inputs": ["1"] * 20, "outputs": ["2"] * 20}

    async def many(url: str) -> None:
        rows = [compute_score("code", DOUBLE, tests, sandbox_url=url) for _ in range(20)]
        await asyncio.gather(*rows)

    with serving(*[slow] * 400) as server:
        asyncio.run(many(server.url))
        assert len(server.requests) == 400
        assert 1 < server.most_in_flight <= 32


def test_a_cancelled_row_makes_no_further_requests() -> None:
    async def cancel(url: str) -> None:
        row = asyncio.create_task(compute_score("code", DOUBLE, PAIRS, sandbox_url=url))
        while not server.requests:
            await asyncio.sleep(0.01)
        row.cancel()
        with pytest.raises(asyncio.CancelledError):
            await row

    with serving(*[500] * 100) as server:
        asyncio.run(cancel(server.url))
        sent = len(server.requests)
        time.sleep(0.2)
        assert len(server.requests) <= sent + 1


def test_the_sandbox_is_tried_before_the_run() -> None:
    with serving(503) as server:
        assert server.url in isolation(server.url, False).sentence
        assert len(server.requests) == 2


UNFIT: list[tuple[Callable[[str], str], list[Any], str]] = [
    (lambda url: "localhost:8080", [], "no URL; type http"),
    (lambda url: "http://127.0.0.1:9", [], "ConnectionError"),
    (lambda url: url, [404], "404"),
    (lambda url: url, [_answer("Success", "Finished", 0, "hello")], "does not run"),
    (lambda url: url.replace("//", "//user:hunter2@"), [500] * 9, "HTTP 500"),
]


@pytest.mark.parametrize(("change", "faults", "words"), UNFIT)
def test_a_sandbox_that_does_not_work_cannot_start(change, faults, words: str) -> None:
    with serving(*faults) as server, pytest.raises(CannotStart, match=words) as caught:
        isolation(change(server.url), False)
    assert "hunter2" not in str(caught.value)
