#!/usr/bin/env python3
"""Turns a run's checkpoint into Hugging Face folders that transformers and vLLM load.

    .venv/bin/python scripts/export.py outputs
    .venv/bin/python scripts/export.py outputs my_model --step best --dtype bfloat16
    .venv/bin/python scripts/export.py outputs my_adapter --adapter --no-critic

The policy and the critic are loaded again and compared with the training shards. See --help.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from verlaunch.tools.export.command import main

if __name__ == "__main__":
    sys.exit(main())
