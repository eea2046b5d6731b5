"""Words that several sentences about the machines of a run are made of."""

from pathlib import Path


def named(ranks: list[int]) -> str:
    """rank 1, ranks 2, 3"""
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"


def not_shared(folder: Path) -> str:
    return (
        f"it does not see node 0's {folder}, or may not write there. Each machine saves its part "
        "of a checkpoint there, and a run continues from all of them. Put it on a disk that all "
        "machines share at the same path: --output_dir /SHARED/FOLDER."
    )
