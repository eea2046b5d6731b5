"""How a command ends, whatever happens in it: a code, and a mistake told in the words to type here.

exit_code(lambda: main(words))   ->  2, and "error: runs is not a folder." on standard error
"""

import os
import sys
from collections.abc import Callable

from verlaunch.errors import UserError
from verlaunch.paths import as_typed
from verlaunch.text import told


def exit_code(command: Callable[[], int], interrupted: str = "Stopped.") -> int:
    """What `command` returns; 2 for a user's mistake, told; 130 for Ctrl-C."""
    try:
        return command()
    except UserError as error:
        for problem in error.problems:
            print(told(f"error: {as_typed(problem)}", sys.stderr), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{interrupted}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # ./train.sh score | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
