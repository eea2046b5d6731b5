"""What machines of a run of two say of themselves, made up and alike."""

from verlaunch.cluster import facts
from verlaunch.cluster.facts import Node

VERSIONS = {
    "Python": "3.11.9",
    "ray": "2.60.0",
    "verl": "0.9.1",
    "torch": "2.13.0",
    facts.CODE: "0" * 12,
}


def node(rank: int, nodes: int = 2) -> Node:
    return Node(
        rank=rank,
        nodes=nodes,
        host=f"host{rank}",
        pid=100 + rank,
        address=f"10.77.0.{rank + 1}",
        interface="eth0",
        cores=2,
        memory_gib=24.0,
        gpus=[],
        versions=dict(VERSIONS),
        settings={"data.train_batch_size": "8"},
    )
