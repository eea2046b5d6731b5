"""What a person typed and would not show: a page is passed on more easily than a folder.

    hide("WANDB_API_KEY=abc ./train.sh rm_url=http://me:pw@host")
    # "WANDB_API_KEY=(hidden) ./train.sh rm_url=http://(hidden)@host"

The launcher's own keys never reach a run's files; these are a user's, in overrides and addresses.
"""

import re

HIDDEN = "(hidden)"
NAME = r"(?:(?:api|access|secret)_?key|token|secret|password)"
IS_SECRET = re.compile(rf"{NAME}$", re.I)
TYPED = re.compile(rf"({NAME}=)(?:'[^']*'|\"[^\"]*\"|\S+)", re.I)
IN_ADDRESS = re.compile(r"(://)[^/\s@]+@")


def hide(text: str) -> str:
    return IN_ADDRESS.sub(rf"\1{HIDDEN}@", TYPED.sub(rf"\1{HIDDEN}", text))


def hide_value(key: str, text: str) -> str:
    """Of a setting: the name of its key tells as well."""
    is_word = text.strip("'\"") not in ("null", "true", "false")
    return HIDDEN if is_word and IS_SECRET.search(key) else hide(text)
