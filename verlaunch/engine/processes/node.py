"""The process that owns Ray's part of the cluster on a machine that has joined a run.

    python -m verlaunch.engine.processes.node outputs/nodes/1/logs/start.json

It says when Ray is up, and ends when one of Ray's processes has died: that of the whole run is
node 0's to tell.
"""

import json
import os
import sys
import time
from pathlib import Path

from verlaunch.engine import environment
from verlaunch.engine.fork import zygote
from verlaunch.engine.processes import ray_node
from verlaunch.engine.processes.deaths import system_processes
from verlaunch.machine import processes
from verlaunch.record.channel import Channel

POLL_S = 0.5
LAST_LINES = 5


def main(path: str) -> int:
    wanted = json.loads(Path(path).read_text())
    os.environ.update(environment.for_run(wanted["hardware"], os.environ, wanted["place"]))
    channel = Channel(Path(wanted["record"]))
    temp = os.environ["VERLAUNCH_TEMP"]
    node = ray_node.start(wanted, temp, wanted["gcs"], setup_worker=zygote.client(temp))
    channel.event("joined", address=node.node_ip_address)
    return _watch(channel, temp)


def _watch(channel: Channel, temp: str) -> int:
    """Until a process of Ray's has ended. Its last words go to our log."""
    known: dict[int, str] = {}
    while True:
        known |= system_processes(os.getpid())
        for pid, name in known.items():
            if processes.is_dead(pid):
                _quote_raylet(temp)
                channel.event("died", process=name, pid=pid)
                return 1
        time.sleep(POLL_S)


def _quote_raylet(temp: str) -> None:
    for file in sorted(Path(temp, "session_latest", "logs").glob("raylet.*")):
        for line in file.read_text(errors="replace").splitlines()[-LAST_LINES:]:
            print(f"{file.name}: {line}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
