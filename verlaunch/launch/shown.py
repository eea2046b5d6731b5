"""What is asked of a run that does not start: its plan, as a page or as JSON, and its settings.

    dry_run(asked)           # ./train.sh --dry_run
    print_config(asked)      # ./train.sh --print_config

Left out on purpose: how they look (plan/page.py, plan/document.py).
"""

import contextlib
import sys

from verlaunch.config.compose import to_yaml
from verlaunch.errors import raise_all
from verlaunch.paths import as_typed
from verlaunch.plan.asked import Asked
from verlaunch.plan.document import document
from verlaunch.plan.foresight import foresee
from verlaunch.plan.page import page


def print_config(asked: Asked) -> int:
    """Raises UserError without model, data or reward: numbers follow from them."""
    outlook = foresee(asked)
    if outlook.plan is None:
        raise_all(outlook.problems)
    print(to_yaml(outlook.config), end="")
    return 0


def dry_run(asked: Asked, form: str = "text") -> int:
    """Exit code 2 where there is a problem. `form`: "text" or "json"."""
    if form == "json":
        return _dry_run_as_json(asked)
    outlook = foresee(asked, rehearsed=True)
    raise_all(outlook.problems)
    print(as_typed(page(outlook, asked.launch["verbose"])))
    return 0


def _dry_run_as_json(asked: Asked) -> int:
    with contextlib.redirect_stdout(sys.stderr):  # one document, and nothing else
        outlook = foresee(asked, rehearsed=True)
    print(document(outlook))
    for problem in outlook.problems:
        print(f"error: {as_typed(problem)}", file=sys.stderr)
    return 2 if outlook.problems else 0
