#!/usr/bin/env python3
"""Talks to what a run has trained, through vLLM: before and after training, side by side.

    .venv/bin/python scripts/chat.py outputs
    .venv/bin/python scripts/chat.py outputs --step best --prompt "3+4="
    .venv/bin/python scripts/chat.py outputs --prompts questions.txt --temperature 0.7

Takes a run's folder; a checkpoint that was not exported yet is exported first. See --help.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from verlaunch.tools.chat.command import main

if __name__ == "__main__":
    sys.exit(main())
