"""Stands where vLLM's child process stands, speaks as it does, and breaks when it is told to.

The score is the sum of the ids; [0] scores NaN, [1] dies with words on standard error, and a model
called `broken` cannot be loaded.
"""

import json
import sys


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    if settings["engine"]["model"].endswith("broken"):
        print(json.dumps({"error": "ValueError: no such head size: 24"}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        number, ids = json.loads(line)
        if ids == [1]:
            print("CUDA error: an illegal memory access was encountered", file=sys.stderr)
            sys.exit(7)
        value = float("nan") if ids == [0] else float(sum(ids))
        print(json.dumps([[number, value, None]]), flush=True)
