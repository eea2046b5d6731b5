"""`verlaunch`, what ./train.sh execs: a command of the table, or a run.

    verlaunch --data data/sample_math.json --lr 1e-5     flags -> configuration -> plan -> run
    verlaunch score --data data/sample_math.json         a word of COMMANDS, and that module's main

Every stage takes the plain result of the one before it. A user's mistake ends here, as one message
and exit code 2 (and as JSON for --dry_run json); so does a disk that is full or may not be written.
Everything is imported by whom it serves, so that --help answers at once, and the doctor where
little is installed.
"""

import errno
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from verlaunch.errors import UserError
from verlaunch.machine import garbage
from verlaunch.paths import anew, as_typed, start_command
from verlaunch.text import told
from verlaunch.tools.door import exit_code

if TYPE_CHECKING:
    from verlaunch.config.flags import Request


class Command(NamedTuple):
    name: str  # the first word typed
    module: str  # whose main(words) returns the exit code
    about: str  # after "./train.sh NAME" in --help


COMMANDS = (
    Command("train", "", "the same as no command"),
    Command("completion", "", "print a script that completes words in bash"),
    Command("data", "verlaunch.tools.data.command", "read, check and split data as a run would"),
    Command("doctor", "verlaunch.tools.doctor.command", "try what a run needs of this machine"),
    Command("score", "verlaunch.tools.score.command", "try a reward on known answers"),
    Command("report", "verlaunch.tools.report.command", "make a run's curves and report again"),
    Command("export", "verlaunch.tools.export.command", "make Hugging Face folders of a run"),
    Command("chat", "verlaunch.tools.chat.command", "talk to a run's model, before and after"),
    Command("convert", "verlaunch.tools.convert.command", "make a value head a reward model"),
)
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
SHOWN = 12  # problems: a folder of bad files has one each


def main(argv: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # prompts in a terminal that lacks their letters
    if argv is None:  # the process ends with us
        garbage.never_at_exit()
    words = sys.argv[1:] if argv is None else list(argv)
    command = next((one for one in COMMANDS if words[:1] == [one.name]), None)
    if command and command.name == "completion":
        return _complete(words[1:])
    if command and command.module:
        return exit_code(lambda: _other(command, words[1:]))
    return _train(words[1:] if command else words)


def _complete(words: list[str]) -> int:
    if words:  # --help, most likely
        print(as_typed("Usage: ./train.sh completion prints a script for bash. In each new shell: "
                       "source <(./train.sh completion)"))  # fmt: skip
        return 0 if words in (["--help"], ["-h"]) else 2
    from verlaunch.config.flags import load_table
    from verlaunch.config.help import bash_completion

    print(bash_completion(load_table(), [command.name for command in COMMANDS]), end="")
    return 0


def _other(command: Command, words: list[str]) -> int:
    try:
        module = importlib.import_module(command.module)
    except ImportError as error:  # in an environment that is not whole
        print(f"error: {error}. {anew()}", file=sys.stderr)
        return 1
    return module.main(words)


def _train(words: list[str]) -> int:
    try:
        return _main(words)
    except UserError as error:
        return _told(error.problems, words)
    except KeyboardInterrupt as stopped:  # with a number where it is not Ctrl-C: leading.py
        print("\nStopped before the run began.", file=sys.stderr)
        return 128 + (stopped.args or (signal.SIGINT,))[0]
    except BrokenPipeError:  # verlaunch --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in DISK:
            raise
        where = error.filename or "A file"
        return _told([f"{where} cannot be written: {error.strerror}. Make room there, or name "
                      "another folder with --output_dir FOLDER."], words)  # fmt: skip


def _wants_json(words: Sequence[str]) -> bool:
    """Also where the words cannot be read as flags."""
    said = f" {' '.join(words)} ".replace("-", "_")
    return " __dry_run json " in said or " __dry_run=json " in said


def _told(problems: Sequence[str], words: Sequence[str]) -> int:
    problems = [as_typed(problem) for problem in problems]
    if _wants_json(words):
        from verlaunch.plan.document import failed

        print(failed(problems, [start_command(), *words]))
    for problem in problems[:SHOWN]:
        print(told(f"error: {problem}", sys.stderr), file=sys.stderr)
    if more := len(problems[SHOWN:]):
        print(f"error: and {more} more. --dry_run json has them all.", file=sys.stderr)
    return 2


def _refuse_unknown(word: str, flags: Sequence[str]) -> None:
    """Raises UserError for the first word where it looks like one of COMMANDS, and is none."""
    from verlaunch.config.values import closest

    if not re.fullmatch(r"[a-z]+", word) or word in flags:
        return
    if meant := closest(word, [command.name for command in COMMANDS]):
        raise UserError(f"{word} is not a command.{meant} ./train.sh --help lists them.")


def _main(words: list[str]) -> int:
    from verlaunch.config.flags import load_table, request, split

    table = load_table()
    _refuse_unknown("".join(words[:1]), [flag.name for flag in table])
    typed = split(words, table)
    if typed.asks("version"):
        from verlaunch import __version__

        print(f"verlaunch {__version__}")
        return 0
    if typed.asks("help"):
        from verlaunch.config.help import help_text

        print(as_typed(help_text(table, {command.name: command.about for command in COMMANDS})))
        return 0
    from verlaunch.cluster import schedulers  # not what --help waits for

    env, notes = schedulers.mapped(os.environ, words)
    for name in os.environ.keys() - env.keys():
        del os.environ[name]  # what torchrun meant for one of its own would hang a process of ours
    return _start(request(typed, env, table), words, notes)


def _start(wanted: "Request", words: list[str], notes: tuple[str, ...]) -> int:
    # Hydra and pyarrow take most of a second, which --help need not wait for.
    from verlaunch.config.compose import compose
    from verlaunch.inputs.choice import tell_demo, with_demo
    from verlaunch.launch import member, shown, start
    from verlaunch.launch.folder import command_line
    from verlaunch.machine import hardware
    from verlaunch.plan.asked import Asked
    from verlaunch.plan.assumed import wished

    there = wished(wanted.values, wanted.action)
    machine = there.machine if there else hardware.look()
    profile = "gpu" if machine.gpus else "cpu"
    values = there.settings(wanted.values) if there else wanted.values
    values = with_demo(values, wanted.overrides, profile)
    config = tell_demo(compose(replace(wanted, values=values), profile))
    config = replace(config, notes=(*notes, *config.notes))
    # Those of a scheduler are left out: another day it gives other machines.
    variables = {v: os.environ[v] for v in wanted.sources.values() if v in os.environ}
    asked = Asked(config, machine, command_line(variables, [start_command(), *words]), there)
    if wanted.action == "print_config":
        return shown.print_config(asked)
    if wanted.action == "dry_run":
        return shown.dry_run(asked, wanted.form)
    return member.take_part(asked) if config.launch["node_rank"] > 0 else start.start(asked)


if __name__ == "__main__":
    sys.exit(main())
