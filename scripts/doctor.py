#!/usr/bin/env python3
"""Is it my machine? Tries what a run needs, one line each: ok, look, or BAD and what to type.

    .venv/bin/python scripts/doctor.py
    .venv/bin/python scripts/doctor.py --quick --output_dir /data/run
    .venv/bin/python scripts/doctor.py --only judge --use_api_reward --rm_model qwen-plus

Takes the flags of ./train.sh. Writes doctor.json, for a bug report, without keys. See --help.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from verlaunch.tools.doctor.command import main
except ImportError as error:  # with another Python, or in an environment that is not whole
    sys.exit(f"error: {error}. Use the project's own Python: .venv/bin/python scripts/doctor.py; "
             "if that says the same: rm -r .venv && ./train.sh --help")  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
