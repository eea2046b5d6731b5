"""Whether every rank's part of a checkpoint is there, before it is declared complete.

    missing(Path("global_step_40"))   ->  ["actor/model_world_size_2_rank_1.pt"]

Ranks write on their own machines. A shared disk that one machine has lost makes a folder that looks
whole there and is not here; a network disk may show a file some seconds late.
"""

import re
import time
from pathlib import Path

SHARD = re.compile(r"(?P<family>.+_world_size_(?P<ranks>\d+)_rank_)\d+(?P<kind>\.\w+)")
PATIENCE_S = 10.0
POLL_S = 0.5


def missing(folder: Path) -> list[str]:
    """Paths relative to `folder`; those that verl's names of the others let expect."""
    found = [SHARD.fullmatch(str(path.relative_to(folder))) for path in folder.rglob("*_rank_*")]
    expected = {
        f"{shard['family']}{rank}{shard['kind']}"
        for shard in found
        if shard
        for rank in range(int(shard["ranks"]))
    }
    return sorted(name for name in expected if not (folder / name).is_file())


def wait_for_all(folder: Path) -> None:
    """Raises RuntimeError when a rank's part does not appear."""
    until = time.monotonic() + PATIENCE_S
    while absent := missing(folder):
        if time.monotonic() > until:
            raise RuntimeError(
                f"the checkpoint {folder} lacks {', '.join(absent)}: does the machine of that rank "
                "still see this folder?"
            )
        time.sleep(POLL_S)
