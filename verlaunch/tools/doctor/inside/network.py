"""Asks the model hub for a model, as a run does, and reads a file of it for some seconds.

work({"model": "Qwen/Qwen2.5-0.5B"}, print)
# {"endpoint": "https://hub.example", "seconds": 0.3, "megabytes_per_s": 12.1}
"""

import time
from collections.abc import Callable
from typing import Any

FILE = "tokenizer.json"  # megabytes, and every model's
LONGEST_S, MOST_BYTES, TIMEOUT_S = 4.0, 16_000_000, 5.0
BLOCK = 1 << 16


def _speed(url: str) -> float | None:
    """MB/s; None when the file cannot be had, which the question before has explained."""
    import requests
    from huggingface_hub.utils import build_hf_headers

    began, size = time.monotonic(), 0
    try:
        with requests.get(url, headers=build_hf_headers(), stream=True, timeout=TIMEOUT_S) as said:
            if not said.ok:
                return None
            for block in said.iter_content(BLOCK):
                size += len(block)
                if size > MOST_BYTES or time.monotonic() - began > LONGEST_S:
                    break
    except requests.RequestException:
        return None
    return size / 1e6 / max(time.monotonic() - began, 1e-9)


def work(given: dict[str, Any], doing: Callable[[str], None]) -> dict[str, Any]:
    from huggingface_hub import constants

    from verlaunch.errors import UserError
    from verlaunch.inputs.data import hub

    endpoint = constants.ENDPOINT
    if constants.HF_HUB_OFFLINE:
        return {"endpoint": endpoint, "offline": True}
    doing(f"asking {endpoint}")
    began = time.monotonic()
    try:
        hub.ask(given["model"], "model", "--model FOLDER")
    except UserError as error:
        return {"endpoint": endpoint, "error": str(error)}
    seconds = time.monotonic() - began
    doing(f"reading from {endpoint}")
    speed = _speed(f"{endpoint}/{given['model']}/resolve/main/{FILE}")
    return {"endpoint": endpoint, "seconds": seconds, "megabytes_per_s": speed}
