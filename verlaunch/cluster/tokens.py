"""The secret that the machines of one run share; Ray's processes and ours ask for it.

    token = given(launch, os.environ)      # RAY_AUTH_TOKEN, then --token_file; None: not given
    token = made(folder)                   # node 0: the one in the run's folder, made if missing
    token = shared(folder)                 # another node: the same file, once it is there

Ray's own names for it are used, so what is set for Ray counts here. Node 0 writes the one that it
makes into the run's folder for its owner only; where all machines see that folder, nothing has to
be typed. It is kept while the run may be resumed and removed when the run has reached its end. Left
out on purpose: ~/.ray/auth_token, which would join every cluster of a person into one.
"""

import contextlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError

VARIABLE = "RAY_AUTH_TOKEN"
FILE = Path("logs", "token")  # in the run's folder
SHORTEST = 16  # characters


def given(launch: Mapping[str, Any], env: Mapping[str, str]) -> str | None:
    """What the user gave. Raises UserError for a file that cannot be read, or a token too short."""
    if token := env.get(VARIABLE, "").strip():
        return _long_enough(token, VARIABLE)
    if not launch["token_file"]:
        return None
    file = Path(launch["token_file"]).expanduser()
    try:
        token = file.read_text().strip()
    except UnicodeDecodeError:
        token = ""
    except OSError as error:
        raise UserError(
            f"--token_file {file} cannot be read ({error.strerror}). {HOW_TO_MAKE}"
        ) from None
    return _long_enough(token, f"--token_file {file}")


HOW_TO_MAKE = "Make one: openssl rand -hex 32 > FILE; every machine needs the same."


def _long_enough(token: str, source: str) -> str:
    # Ray sends it in a header, which takes ASCII only.
    if len(token) < SHORTEST or not token.isascii() or len(token.split()) > 1:
        raise UserError(
            f"{source} holds no token: that is one word of at least {SHORTEST} letters and digits. "
            f"{HOW_TO_MAKE}"
        )
    return token


def made(folder: Path) -> str:
    """The token of the run in `folder`, which a killed attempt may have left; else a new one."""
    if token := shared(folder):
        return token
    token = secrets.token_hex(32)
    file = folder / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(token + "\n")
    partial.replace(file)
    return token


def shared(folder: Path) -> str | None:
    file = folder / FILE
    with contextlib.suppress(OSError):
        os.listdir(file.parent)  # makes NFS look at the folder afresh
        return file.read_text().strip() or None
    return None


def forget(folder: Path) -> None:
    (folder / FILE).unlink(missing_ok=True)


HAND_OVER = (
    f"Copy that file's line from node 0 and start this node with {VARIABLE}=THAT_LINE, or with "
    "--token_file FILE."
)


def source(launch: Mapping[str, Any], env: Mapping[str, str], folder: Path) -> str:
    """Where this machine's token comes from, for a message."""
    if env.get(VARIABLE, "").strip():
        return f"the one in {VARIABLE}"
    if launch["token_file"]:
        return f"the one in --token_file {launch['token_file']}"
    return f"the one in {folder / FILE}"
