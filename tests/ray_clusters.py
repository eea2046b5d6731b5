"""A Ray cluster on loopback that verlaunch did not start: with a token, for one test."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from verlaunch.machine.guardian import in_plain_path

TOKEN = "a-token-of-others-0123456789abcdef"
# Ends when its standard input does, however the test has ended.
HEAD = """
import sys
from verlaunch.engine.processes import ray_node
cpus, gpus, temp = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
facts = {"ray_cpus": cpus, "ray_gpus": gpus, "object_store_bytes": 200 * 2**20, "place": None}
node = ray_node.start(facts, temp)
print(node.gcs_address, flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class Cluster:
    """process: what started Ray's own. alone: variables that keep Ray on loopback."""

    address: str
    process: subprocess.Popen
    alone: dict[str, str]


@contextmanager
def cluster(cpus: int, gpus: int) -> Iterator[Cluster]:
    from verlaunch.engine.environment import ALONE

    temp = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # unix sockets have short paths
    settings = {**ALONE, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    head = subprocess.Popen(
        [in_plain_path(sys.executable, temp), "-c", HEAD, str(cpus), str(gpus), temp],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings, "RAY_AUTH_TOKEN": TOKEN},
    )
    assert head.stdin is not None and head.stdout is not None
    try:
        yield Cluster(head.stdout.readline().strip(), head, settings)
    finally:
        head.stdin.close()
        head.wait(60)
        shutil.rmtree(temp, ignore_errors=True)
