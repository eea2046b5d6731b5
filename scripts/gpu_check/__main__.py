"""python scripts/gpu_check --help"""

import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(SCRIPTS.parent), str(SCRIPTS)]  # not this folder: its names are everyday words

from gpu_check.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
