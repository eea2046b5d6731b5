"""What the zygote becomes when no more workers are asked for: a small process that waits.

    python -I -S waiter.py 4711     # the driver's process id: a child, for it replaces its parent

The exit code is the driver's, and SIGTERM is passed on to it, as the zygote would do.
"""

import os
import signal
import sys


def main(driver: int) -> int:
    signal.signal(signal.SIGTERM, lambda number, frame: os.kill(driver, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])  # what came meanwhile comes now
    while True:
        pid, status = os.wait()
        if pid == driver:
            code = os.waitstatus_to_exitcode(status)
            return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
