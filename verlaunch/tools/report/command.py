"""./train.sh report: makes a run's summary, CSV, curves and report.html anew from its record.

    main(["outputs"])   # 0, and the four files that it wrote are named

The launcher does the same while a run goes on and at its end. This is for a run that was killed,
one from another machine, or one that is still going on.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from verlaunch.errors import UserError
from verlaunch.paths import as_typed
from verlaunch.record.channel import METRICS
from verlaunch.record.report import write

ABOUT = "Makes a run's summary, CSV, curves and report.html again, from what the run has recorded."
MADE = (write.SUMMARY, write.CSV, write.PICTURE, write.PAGE)


def _check(folder: Path) -> None:
    """Raises UserError where there is nothing to report of."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder. Name a run's folder, such as outputs.")
    if (folder / METRICS).is_file():
        return
    if (folder / "run.json").exists():
        raise UserError(
            f"{folder} holds a run without a step yet. Its log is in {folder / 'logs'}."
        )
    runs = sorted(file.parent.name for file in folder.glob(f"*/{METRICS}"))
    hint = f" Did you mean {folder / runs[0]}?" if runs else ""
    raise UserError(f"{folder} holds no run: there is no {METRICS} in it.{hint}")


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog=as_typed("./train.sh report"), description=ABOUT)
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="what --output_dir named")
    folder = parser.parse_args(words).folder
    _check(folder)
    wrong = write.write(folder)
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    print("\n".join(str(folder / name) for name in MADE if (folder / name).exists()))
    return 1 if wrong else 0
