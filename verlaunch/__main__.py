"""python -m verlaunch: the same as the command `verlaunch`."""

import sys

from verlaunch.cli import main

sys.exit(main())
