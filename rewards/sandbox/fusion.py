"""Runs a program's cases in SandboxFusion, a code sandbox behind HTTP: one request per case.

    run_remote("http://sandbox:8080", Job(program, tasks), tasks[0], threading.Event())

Made again after 429, a 5xx, a lost connection or the sandbox's own error; then it is a Failure of
the kind "sandbox". How well programs are isolated there is that server's configuration.
"""

import json
import random
import secrets
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rewards.part import Failure
from rewards.sandbox import inside
from rewards.sandbox.local import Job
from rewards.sandbox.outcome import Ran, has_finished, read_reports

TRIES = 6
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0
SLACK_S = 30.0  # a request may queue there before its program runs
_AGAIN = (408, 425, 429)
_HARNESS = Path(inside.__path__[0]) / "harness.py"


class Again(Exception):
    """This try failed in a way that another may not."""


def shown(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def endpoint(url: str) -> str:
    return url if urlsplit(url).path.endswith("/run_code") else url.rstrip("/") + "/run_code"


def _script(mark: str, program: str, task: dict[str, Any]) -> str:
    request = json.dumps({"program": program, "task": {**task, "stdin": "", "mark": mark}})
    return f"{_HARNESS.read_text(encoding='utf-8')}\n\nrun_remote({mark!r}, {request!r})\n"


def _post(url: str, body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """The answer's JSON. Raises Again and Failure (final: no later request can succeed)."""
    import requests

    try:
        answer = requests.post(endpoint(url), json=body, timeout=timeout_s, allow_redirects=False)
        if answer.status_code == 200:
            return answer.json()
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema):
        raise Failure("sandbox", f"{shown(url)} is no URL of HTTP", final=True) from None
    except requests.RequestException as error:  # its text may hold the URL with its password
        raise Again(type(error).__name__) from None
    if answer.status_code in _AGAIN or answer.status_code >= 500:
        raise Again(f"HTTP {answer.status_code}")
    reason = f"{shown(url)} refuses requests with HTTP {answer.status_code}; --sandbox_url names it"
    raise Failure("sandbox", reason, final=True)


def _ran(answer: Any, mark: str) -> Ran:
    result = answer.get("run_result") if isinstance(answer, dict) else None
    if not isinstance(result, dict) or answer.get("status") not in ("Success", "Failed"):
        status = answer.get("status") if isinstance(answer, dict) else type(answer).__name__
        raise Again(f"status {status!r}"[:60])
    if result.get("status") == "TimeLimitExceeded":
        return Ran("timeout")
    if result.get("status") != "Finished":
        raise Again(f"run status {result.get('status')!r}"[:60])
    output: list[str] = []
    marked: list[str] = []
    for line in str(result.get("stdout") or "").split("\n"):
        (marked if line.startswith(mark) else output).append(line)
    code = result.get("return_code")
    reports = read_reports(line[len(mark) :] for line in marked)
    if code == 1 and not reports:  # it is said before the program runs
        raise Again("the test's own code does not run there; is its Python older than 3.10?")
    exit_code = code if isinstance(code, int) else -1
    return Ran("exit", exit_code, "\n".join(output), has_finished(reports, mark), reports)


def run_remote(
    url: str, job: Job, task: dict[str, Any], stop: threading.Event, tries: int = TRIES
) -> Ran:
    """`task`: one of the job's. Raises Failure("sandbox", ...)."""
    mark = secrets.token_hex(8)
    body = {
        "code": _script(mark, job.program, task),
        "language": "python",
        "stdin": task["stdin"],
        "run_timeout": job.timeout_s,
        "memory_limit_MB": job.memory_mib,
    }
    why = ""
    for again in range(tries):
        try:
            return _ran(_post(url, body, job.timeout_s + SLACK_S), mark)
        except Again as error:
            why = str(error)
        wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**again)
        if again + 1 < tries and stop.wait(random.uniform(wait / 2, wait)):
            break
    raise Failure("sandbox", f"{shown(url)} gave no result after {tries} tries: {why}")
