"""The child's side of doctor/child.py: one check's work, its result in a file.

    python -m verlaunch.tools.doctor.inside imports FOLDER

What libraries print goes to the log. The end is abrupt on purpose: threads of torch and vLLM have
held up a process that was done.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path

from verlaunch.tools.doctor.child import GIVEN, Teller


def first_line(error: BaseException) -> str:
    """Of the error that began it all: what came after is mostly a consequence."""
    seen = {id(error)}
    while (earlier := error.__cause__ or error.__context__) and id(earlier) not in seen:
        seen.add(id(earlier))
        error = earlier
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def main(module: str, folder: Path) -> int:
    teller = Teller(folder)
    try:
        work = importlib.import_module(f"verlaunch.tools.doctor.inside.{module}").work
        teller.tell(done=work(json.loads((folder / GIVEN).read_text()), teller.doing))
    except BaseException as error:  # a library's SystemExit is a failure like any other
        traceback.print_exc()
        teller.tell(failed=first_line(error))
        return 1
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1], Path(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
