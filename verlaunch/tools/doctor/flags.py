"""The words of ./train.sh doctor: its own three flags beside all those of training.

    parse(["--quick", "--output_dir", "/data/run"], {})   # Request with quick and output_dir

Left out on purpose: a second table; these three change no run.
"""

from collections.abc import Mapping, Sequence

from verlaunch.config.flags import Request, load_table
from verlaunch.config.flags import parse as parse_all
from verlaunch.config.values import Flag
from verlaunch.errors import UserError
from verlaunch.tools.doctor.checks import CHECKS

NAME = "doctor.json"  # in the run's folder, beside what a run writes
ELSEWHERE = ("print_config", "dry_run", "version")
_ROWS = "\n".join(
    f"  {check.name:<12} {check.limit_s:>4.0f} s  {check.what}{' *' * check.is_slow}"
    for check in CHECKS
)
HELP = f"""\
Usage: ./train.sh doctor [--quick] [--only CHECK[,CHECK]] [--output FILE]
                         [the flags of training ...]

Tries on this machine what a plan can't: does torch load, do ranks talk, does vLLM
generate, does Ray start, is the disk fast, does the judge answer? One line each: ok,
look (works, with something to know) or BAD, and what to type then. Takes a run's
flags, so that model, judge, hardware and folders are the run's:

  ./train.sh doctor
  ./train.sh doctor --quick --output_dir /data/run
  ./train.sh doctor --only judge --use_api_reward --rm_model qwen-plus

Each check and the most it may take (* left out by --quick):

{_ROWS}

  --quick               Leave out what loads torch, vLLM or Ray, and write less to disk.
  --only CHECK[,CHECK]  These alone.
  --output FILE         The report, for a bug report: no keys, no passwords, your home
                        folder and name as ~ [default: {NAME} in the folder of
                        --output_dir and --run_name: outputs/{NAME}]

A judge is asked twice, which costs as much as two of a run's calls.
Exit code: 0 when nothing is BAD, 1 when something is, 2 for a mistake in the command.
"""
OWN = (
    Flag("quick", "Doctor", "bool", "", ()),
    Flag("only", "Doctor", "list", "", (), metavar="CHECK[,CHECK]",
         choices=tuple(check.name for check in CHECKS)),
    Flag("output", "Doctor", "path", "", (), metavar="FILE"),
)  # fmt: skip


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Request:
    """Raises UserError with every problem."""
    request = parse_all(argv, environ, (*load_table(), *OWN))
    if request.action in ELSEWHERE:
        raise UserError(f"--{request.action} belongs to training; leave it out here.")
    return request
