"""The demo's task: the sums of two digits, in the project's JSON format.

    sums()[34]  ->  {"prompt": "3+4=", "ground_truth": "7", "data_source": "math_reasoning"}

There are only 100 such sums, so nothing is held out: training samples answers to all of them, and
validation decodes the same 100 greedily. The curve shows how well PPO optimises a policy, not how
well that policy generalises.
"""

import json
from pathlib import Path

DIGITS = range(10)


def sums() -> list[dict[str, str]]:
    """All 100 sums, in order of their operands."""
    return [
        {"prompt": f"{a}+{b}=", "ground_truth": str(a + b), "data_source": "math_reasoning"}
        for a in DIGITS
        for b in DIGITS
    ]


def write_data(folder: Path) -> tuple[Path, Path]:
    """Writes train.json and val.json (the same rows, see above) and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    train, val = folder / "train.json", folder / "val.json"
    rows = ",\n".join(json.dumps(row) for row in sums())
    for path in (train, val):
        path.write_text(f"[\n{rows}\n]\n")
    return train, val
