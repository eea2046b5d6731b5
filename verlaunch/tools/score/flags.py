"""The words of ./train.sh score: its own five flags beside all those of training.

    parse(["--rows", "20", "--lr", "1e-5"], {})   # Request with rows 20 and lr 1e-5

Left out on purpose: a second table; these five change no run.
"""

from collections.abc import Mapping, Sequence

from verlaunch.config.flags import Request, load_table
from verlaunch.config.flags import parse as parse_all
from verlaunch.config.values import Flag
from verlaunch.errors import UserError

ROWS = 50
HELP = f"""\
Usage: ./train.sh score [--responses FILE] [--rows N] [--out FOLDER] [--json FILE]
                        [--attack] [the flags of training ...]

Tries a run's reward on known answers, without training: the reference answers of
its data should score high, empty and junk answers lowest. With --responses it
scores those as well, and says why they score low. Takes the run's own flags:

  ./train.sh score --data my.json --reward_fn my_reward.py:compute_score
  ./train.sh score --responses outputs/samples --rows 200
  ./train.sh score --use_api_reward --rm_model qwen-plus --rows 5

Rules and judges need neither a GPU nor Ray; a reward model is loaded in this
process. A judge's calls cost what they cost in a run: --dry_run counts them.

  --responses FILE[,FILE]      Responses to score, JSON, JSONL or parquet: a column
                               response, and prompt or messages, ground_truth,
                               data_source, extra_info as there are. A run's
                               samples folder will do.
  --rows N                     Rows to score, evenly over the data_sources
                               [default: {ROWS}]
  --out FOLDER                 Where scores.png, scores.json and scores.jsonl go
                               [default: scores in the run's output folder]
  --json FILE                  Where the numbers go instead of FOLDER/scores.json
  --attack                     Try about twenty kinds of cheap answers as well (the
                               prompt, "= 0", every number to 100, the reference in
                               a thought ...) and say which of them are paid
  --dry_run                    Say what would be scored, and stop.

Exit code: 0 when the reward tells reference answers from junk everywhere, 1 when
it does not or could not be asked, 2 for a mistake in the command or the data.
"""


def _own(name: str, kind: str, metavar: str, minimum: float | None = None) -> Flag:
    return Flag(name, "Scoring", kind, "", (), metavar=metavar, min=minimum)


OWN = (
    _own("responses", "list", "FILE[,FILE]"),
    _own("rows", "int", "N", 1),
    _own("out", "path", "FOLDER"),
    _own("json", "path", "FILE"),
    _own("attack", "bool", ""),
)
ELSEWHERE = ("print_config", "version")


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Request:
    """Raises UserError with every problem."""
    request = parse_all(argv, environ, (*load_table(), *OWN))
    if request.action in ELSEWHERE:
        raise UserError(f"--{request.action} belongs to training; leave it out here.")
    return request
