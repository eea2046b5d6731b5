"""Checkpoints on disk: what makes one complete, which to continue from, which to delete.

    outputs/checkpoints/global_step_40/{actor,critic,data.pt,trainer.json,reward.json,complete.json}
                       /best.json  resharded/  undone-TIME/

Only folders named global_step_N are checkpoints. Needs no torch: shards are files here.
"""

from verlaunch.checkpoints.best import best, note_score
from verlaunch.checkpoints.complete import wait_for_all
from verlaunch.checkpoints.fitting import MESHES, STRATEGIES, check_ranks, fitting
from verlaunch.checkpoints.manifest import (
    MANIFEST,
    Checkpoint,
    Unusable,
    begin,
    check_hashes,
    examine,
    read,
    write_manifest,
)
from verlaunch.checkpoints.resume import Resume, choose, remember
from verlaunch.checkpoints.retention import prune, set_aside_after, sweep
from verlaunch.checkpoints.search import Search, all_complete, latest, search

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
    "fitting",
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
