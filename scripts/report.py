#!/usr/bin/env python3
"""Makes a run's summary, CSV, curves and report.html anew, from what the run has recorded.

    .venv/bin/python scripts/report.py outputs

The launcher does the same while a run goes on and at its end. This is for a run that was killed,
one from another machine, or one that is still going on. See --help.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from verlaunch.errors import UserError, exit_code
from verlaunch.record.channel import METRICS
from verlaunch.record.report import csv_table, write

MADE = (write.SUMMARY, csv_table.CSV, write.PICTURE, write.PAGE)


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


def _report() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, metavar="RUN_FOLDER", help="what --output_dir named")
    folder = parser.parse_args().folder
    _check(folder)
    wrong = write.write(folder)
    print("\n".join(wrong), end="\n" if wrong else "", file=sys.stderr)
    print("\n".join(str(folder / name) for name in MADE if (folder / name).exists()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(exit_code(_report))
