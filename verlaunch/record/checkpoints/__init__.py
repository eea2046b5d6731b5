"""Checkpoints on disk: what makes one complete, which to continue from, which to delete.

    outputs/checkpoints/global_step_40/{actor,critic,data.pt,trainer.json,reward.json,complete.json}
                       /best.json  resharded/  undone-TIME/

Only folders named global_step_N are checkpoints. Needs no torch: shards are files here.
"""
