"""Checkpoints on disk: what makes one complete, which to continue from, which to delete.

    outputs/checkpoints/global_step_40/{actor,critic,data.pt,trainer.json,reward.json,complete.json}
                       /best.json  resharded/  undone-TIME/

Only folders named global_step_N are checkpoints. Needs no torch: shards are files here.
"""

from verlaunch.record.checkpoints.best import best, note_score
from verlaunch.record.checkpoints.complete import wait_for_all
from verlaunch.record.checkpoints.manifest import (
    MANIFEST,
    Checkpoint,
    Unusable,
    begin,
    check_hashes,
    examine,
    read,
    write_manifest,
)
from verlaunch.record.checkpoints.ranks import MESHES, STRATEGIES, check_ranks
from verlaunch.record.checkpoints.resume import Resume, choose, remember
from verlaunch.record.checkpoints.retention import prune, set_aside_after, sweep
from verlaunch.record.checkpoints.search import Search, all_complete, latest, search

__all__ = [
    "MANIFEST",
    "MESHES",
    "STRATEGIES",
    "Checkpoint",
    "Resume",
    "Search",
    "Unusable",
    "all_complete",
    "begin",
    "best",
    "check_hashes",
    "check_ranks",
    "choose",
    "examine",
    "latest",
    "note_score",
    "prune",
    "read",
    "remember",
    "search",
    "set_aside_after",
    "sweep",
    "wait_for_all",
    "write_manifest",
]
