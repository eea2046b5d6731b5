"""A rank whose disk is full must not leave the others waiting in verl's barriers.

Every rank meets the others when its folder is made, when its shards are written (verl/utils/
checkpoint/fsdp_checkpoint_manager.py:save_checkpoint) and when it is done (workers/engine/fsdp/
transformer_impl.py:892). One that fails in between goes through what is left of them, and only then
tells. So a save that failed can be tried again, on the same processes.
"""

from typing import Any

import torch

BARRIERS = 3


class WholeSaves:
    """To be mixed into an engine, before verl's class."""

    checkpoint_manager: Any

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        barrier, met = torch.distributed.barrier, 0

        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal met
            met += 1
            return barrier(*args, **kwargs)

        torch.distributed.barrier = counted
        try:
            super().save_checkpoint(*args, **kwargs)  # type: ignore[misc]
        except Exception:
            # A whole model is gathered by all ranks together: what is left then are no barriers.
            if not self.checkpoint_manager.should_save_hf_model:
                for _ in range(BARRIERS - met):
                    barrier()
            raise
        finally:
            torch.distributed.barrier = barrier
