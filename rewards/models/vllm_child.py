"""The process in which vLLM runs a reward model: token ids on standard input, scores on output.

    {"engine": {"model": "/rm", "runner": "pooling"}, "task": "classify"}  ->  {"ready": true}
    [7, [151644, 872, 198]]  ->  [[7, 3.25, null]], or [[7, null, "why not"]]

The engine runs in this process, not in one more, so vLLM is imported once: half the memory and
half the seconds of its asynchronous engine. Requests that come during a step join the next one.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, TextIO

GRACE_S = 10.0  # to finish a step when nobody listens any more
_SHOWN = 300  # characters of an error


def _own_output() -> TextIO:
    """Standard output for messages alone: whatever a library prints goes to standard error."""
    wire = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return wire


def _say(wire: TextIO, message: Any) -> None:
    try:
        wire.write(json.dumps(message) + "\n")
        wire.flush()
    except BrokenPipeError:
        os._exit(1)  # who started us is gone


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_SHOWN]


def _listen(requests: "SimpleQueue[Any]") -> None:
    """Feeds the queue; None is the end. A step that hangs, or loading, does not outlive it long."""
    for line in sys.stdin:
        requests.put(json.loads(line))
    requests.put(None)
    ending = threading.Timer(GRACE_S, os._exit, (1,))
    ending.daemon = True
    ending.start()


def _waiting(requests: "SimpleQueue[Any]", wait: bool) -> Iterator[Any]:
    """What has come; at least one, however long it takes, if `wait`."""
    if wait:
        yield requests.get()
    while not requests.empty():
        yield requests.get()


def _add(engine: Any, params: Any, number: int, ids: list[int]) -> list[list[Any]]:
    try:
        engine.add_request(str(number), {"prompt_token_ids": ids}, params.clone())
    except Exception as error:  # vLLM has a dozen kinds for a request that it refuses
        return [[number, None, _text(error)]]
    return []


def _value(output: Any) -> list[Any]:
    """One value for the sequence, or one for each token (tokens, 1): the last is the score."""
    number, data = int(output.request_id), output.outputs.data
    if data.ndim and data.shape[-1] != 1:
        return [number, None, f"the head is {data.shape[-1]} wide, and a reward is one number"]
    return [number, float(data.flatten()[-1]), None]


def _serve(engine: Any, params: Any, requests: "SimpleQueue[Any]", wire: TextIO) -> None:
    while True:
        found: list[list[Any]] = []
        for request in _waiting(requests, wait=not engine.has_unfinished_requests()):
            if request is None:
                return
            found += _add(engine, params, *request)
        if engine.has_unfinished_requests():
            found += [_value(output) for output in engine.step() if output.finished]
        if found:
            _say(wire, found)


def _load(settings: dict[str, Any]) -> tuple[Any, Any]:
    from vllm import EngineArgs, PoolingParams
    from vllm.v1.engine.llm_engine import LLMEngine

    params = PoolingParams(task=settings["task"], use_activation=False)
    return LLMEngine.from_engine_args(EngineArgs(**settings["engine"])), params


def main() -> None:
    wire, requests = _own_output(), SimpleQueue[Any]()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    settings = requests.get()
    if settings is None:
        return
    try:
        engine, params = _load(settings)
    except BaseException as error:
        _say(wire, {"error": _text(error)})
        raise
    _say(wire, {"ready": True})
    _serve(engine, params, requests, wire)
