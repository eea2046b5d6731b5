"""What a process leaves behind is not walked at its end."""

import subprocess
import sys

import pytest

CYCLE = """
from verlaunch.machine import garbage
class Told:
    def __del__(self):
        print("walked")
one = Told()
one.itself = one
del one
"""


@pytest.mark.parametrize(("last", "said"), [("", "walked\n"), ("garbage.never_at_exit()", "")])
def test_the_last_collection_is_left_out_where_asked(last: str, said: str) -> None:
    ran = subprocess.run([sys.executable, "-c", CYCLE + last], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, said)
