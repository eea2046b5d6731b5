"""Where things lie: the project's own files, caches, and the folder for sockets.

    CONFIGS  ->  configs/ beside this package in a checkout, inside it in a wheel

Left out on purpose: the output folder of a run, which is the user's to name (see folder.py).
"""

import importlib.util
import os
import shlex
from pathlib import Path

from verlaunch.errors import UserError

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent
# Ray's longest socket is TEMP/verlaunch-8CHARS/session_DATE_MICROSECONDS_PID/sockets/plasma_store,
# 84 bytes after TEMP, and a Unix socket's path has at most 107.
LONGEST_TEMP = 107 - 84


def _share(name: str) -> Path:
    packed = _PACKAGE / "share" / name
    return packed if packed.is_dir() else _CHECKOUT / name


IS_CLONE = (_CHECKOUT / "train.sh").is_file()
CONFIGS = _share("configs")
SAMPLES = _share("data")


def cache_dir() -> Path:
    """Prepared data and demo models: `$VERLAUNCH_CACHE`, else `~/.cache/verlaunch`."""
    root = os.environ.get("VERLAUNCH_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "verlaunch"
    )
    return Path(root)


def temp_dir() -> Path:
    """$TMPDIR, or /tmp when that is not set, too long for sockets or has a space in it.

    Raises UserError.
    """
    import tempfile  # half of what this module takes to import, and not for --help

    wanted = os.environ.get("TMPDIR")
    folder = Path(wanted or "/tmp").absolute()
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"0")
    except OSError as error:
        where = f"TMPDIR={wanted}" if wanted else "/tmp"
        raise UserError(
            f"{where} cannot be used for temporary files ({error.strerror}). "
            "Name a folder that can be written: TMPDIR=/some/short/path ./train.sh ..."
        ) from None
    plain = shlex.quote(str(folder)) == str(folder)
    return folder if plain and len(os.fsencode(folder)) <= LONGEST_TEMP else Path("/tmp")


def start_command() -> str:
    """How the user started us: train.sh says so in a variable, a wheel has the console script."""
    return os.environ.get("VERLAUNCH_START", "verlaunch")


def as_typed(text: str) -> str:
    """A text of ours for who reads it here: `./train.sh` in it becomes what starts us.

    as_typed("Try: ./train.sh score")   ->  "Try: verlaunch score", from a wheel
    """
    start = os.environ.get("VERLAUNCH_START", "./train.sh" if IS_CLONE else "verlaunch")
    is_here = os.path.dirname(start) == os.getcwd()
    return text.replace("./train.sh", "./train.sh" if is_here else shlex.quote(start))


def sample() -> str:
    """The sample data as it is typed here: a wheel brings it inside the package."""
    file, here = SAMPLES / "sample_math.json", Path.cwd()
    return shlex.quote(str(file.relative_to(here) if file.is_relative_to(here) else file))


def anew(words: str = "--help") -> str:
    """How to install again where the environment is not whole; a wheel has no train.sh."""
    way = f"rm -r .venv && ./train.sh {words}" if IS_CLONE else "install the wheel in a new one"
    return f"Install the environment again: {as_typed(way)}"


def verl_configs() -> Path:
    """verl's Hydra folder, found without importing verl (that import takes seconds)."""
    spec = importlib.util.find_spec("verl")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"verl is not installed. {anew()}")
    return Path(spec.origin).parent / "trainer" / "config"
