"""`verlaunch`, what ./train.sh execs: flags -> configuration -> plan -> run.

    verlaunch --data data/sample_math.json --lr 1e-5

Every stage takes the plain result of the one before it. A user's mistake ends here, as one message
and exit code 2 (and as JSON for --dry_run json); so does a disk that is full or may not be written.
"""

import errno
import io
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from verlaunch.cluster import schedulers
from verlaunch.config.flags import Request, load_table, parse
from verlaunch.errors import UserError

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)

SHOWN = 12  # problems: a folder of bad files has one each


def main(argv: Sequence[str] | None = None) -> int:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # prompts in a terminal that lacks their letters
    words = sys.argv[1:] if argv is None else list(argv)
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
    if _wants_json(words):
        from verlaunch.paths import start_command
        from verlaunch.plan.document import failed

        print(failed(problems, [start_command(), *words]))
    for problem in problems[:SHOWN]:
        print(f"error: {problem}", file=sys.stderr)
    if more := len(problems[SHOWN:]):
        print(f"error: and {more} more. --dry_run json has them all.", file=sys.stderr)
    return 2


def _main(words: list[str]) -> int:
    table = load_table()
    request = parse(words, os.environ, table)
    if request.action == "version":
        from verlaunch import __version__

        print(f"verlaunch {__version__}")
        return 0
    if request.action == "help":
        from verlaunch.config.help import help_text

        print(help_text(table))
        return 0
    env, notes = schedulers.mapped(os.environ, words)
    for name in os.environ.keys() - env.keys():
        del os.environ[name]  # what torchrun meant for one of its own would hang a process of ours
    return _start(parse(words, env, table), words, notes)


def _start(request: Request, words: list[str], notes: tuple[str, ...]) -> int:
    # Hydra and pyarrow take most of a second, which --help need not wait for.
    from verlaunch.config.compose import compose
    from verlaunch.inputs.choice import tell_demo, with_demo
    from verlaunch.launch.folder import command_line
    from verlaunch.launch.member import Member
    from verlaunch.launch.start import Start
    from verlaunch.machine import hardware
    from verlaunch.paths import start_command

    seen = hardware.look()
    profile = "gpu" if seen.gpus else "cpu"
    values = with_demo(request.values, request.overrides, profile)
    config = tell_demo(compose(replace(request, values=values), profile))
    config = replace(config, notes=(*notes, *config.notes))
    # Those of a scheduler are left out: another day it gives other machines.
    variables = {v: os.environ[v] for v in request.sources.values() if v in os.environ}
    if request.action == "run" and config.launch["node_rank"] > 0:
        return Member(config, seen, "").run()
    start = Start(config, seen, command_line(variables, [start_command(), *words]))
    if request.action == "print_config":
        return start.print_config()
    return start.dry_run(request.form) if request.action == "dry_run" else start.run()


if __name__ == "__main__":
    sys.exit(main())
