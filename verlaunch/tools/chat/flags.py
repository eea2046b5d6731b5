"""The words of ./train.sh chat, and the prompts that they name.

    args = parse(["outputs", "--prompts", "questions.txt"])
    prompts(args)      ->  [[{"role": "user", "content": "3+4="}], ...]

Both raise UserError.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from verlaunch.errors import UserError
from verlaunch.paths import as_typed
from verlaunch.record.tried_prompts import Messages, messages_of

ABOUT = "Talks to a run's policy through vLLM: before and after training, side by side."
MORE = """\
Without --prompt and --prompts it is a conversation: /help lists its commands, Ctrl-D ends it.
Two columns in a terminal of 80 characters or more, else one answer after the other.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=as_typed("./train.sh chat"), description=ABOUT, epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("run", metavar="RUN", type=Path, help="a run's folder")
    parser.add_argument("--step", metavar="N|best|last|final",
                        help="which checkpoint speaks after training (default: last)")  # fmt: skip
    parser.add_argument("--prompt", metavar="TEXT", action="append", default=[],
                        help="ask this and end; may be repeated")  # fmt: skip
    parser.add_argument("--prompts", metavar="FILE", type=Path,
                        help="ask these and end: a text file with one prompt per line, or data "
                             "(JSON, JSONL, parquet)")  # fmt: skip
    parser.add_argument("--temperature", metavar="T", type=float, default=0.0,
                        help="0: the likeliest token, as in validation (default)")  # fmt: skip
    parser.add_argument("--max_tokens", "--max-tokens", metavar="N", type=int,
                        help="where an answer is cut (default: as in training)")  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="(default: 1)")
    return parser


def parse(words: Sequence[str]) -> argparse.Namespace:
    args = _parser().parse_args(words)
    if not 0 <= args.temperature <= 10:
        raise UserError(f"--temperature {args.temperature:g}: takes a number from 0 to 10.")
    if args.max_tokens is not None and args.max_tokens < 1:
        raise UserError(f"--max_tokens {args.max_tokens}: takes a whole number of at least 1.")
    if not 0 <= args.seed < 1 << 63:
        raise UserError(f"--seed {args.seed}: takes a whole number of at least 0.")
    return args


def prompts(args: argparse.Namespace) -> list[Messages]:
    """Conversations to ask about and end; none for a conversation by hand."""
    asked = [[{"role": "user", "content": text}] for text in args.prompt]
    file = args.prompts
    if file is None:
        return asked
    if not file.is_file():
        raise UserError(f"--prompts {file}: no such file.")
    if file.suffix in (".json", ".jsonl", ".parquet"):
        from verlaunch.inputs.data.readers import records
        from verlaunch.inputs.data.sources import sources

        rows = [row for source in sources(str(file)) for _, row in records(source)]
        found = [messages_of(row.get("prompt") if isinstance(row, dict) else row) for row in rows]
    else:
        found = [messages_of(line) for line in file.read_text(encoding="utf-8").split("\n")]
    asked += [messages for messages in found if messages]
    if not asked:
        raise UserError(f"--prompts {file} holds no prompt. One per line, or rows with a prompt.")
    return asked
