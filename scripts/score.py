#!/usr/bin/env python3
"""Why is my reward always 0? Tries a run's reward on known answers, and on responses of yours.

    .venv/bin/python scripts/score.py --data my.json --reward_fn my_reward.py:compute_score
    .venv/bin/python scripts/score.py --responses outputs/samples --rows 200

Takes the flags of ./train.sh; no training, and no GPU or Ray for rules and judges. See --help.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from verlaunch.tools.score.command import main

if __name__ == "__main__":
    sys.exit(main())
