"""./train.sh convert: a reward model with a value head of its own -> what --reward_model takes.

    main(["Starling-RM-7B-alpha", "starling", "--tokenizer", "Llama-2-7b-chat-hf"])

OpenRLHF's, LLaMA-Factory's and TRL's, and Starling's. Scores stay the same to the last bit. Needs
the disk twice, memory for 2 GB of weights (for a whole model where an adapter is merged), no GPU.
Starling's licence allows research, not commerce; that of its tokenizer must be accepted on the hub.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rewards.models.fetch import fetch
from rewards.part import CannotStart
from verlaunch.errors import UserError
from verlaunch.paths import as_typed

ABOUT = (
    "Turns a reward model with a value head (OpenRLHF's, LLaMA-Factory's, TRL's, Starling's) into "
    "a folder that --reward_model takes."
)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=as_typed("./train.sh convert"), description=ABOUT)
    parser.add_argument("source", help="a folder with its config.json and weights, or an adapter")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--tokenizer", help="folder or hub id that has it; default: source's own")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    args = _arguments(words)
    from rewards.models.convert import CannotConvert, convert

    try:
        tokenizer = fetch(args.tokenizer, "--tokenizer", weights=False) if args.tokenizer else None
        convert(fetch(args.source, "SOURCE"), args.out, tokenizer)
    except (CannotStart, CannotConvert) as mistake:
        raise UserError(str(mistake)) from None
    print(as_typed(f"Wrote {args.out}. Train with it: ./train.sh --reward_model {args.out}"))
    return 0
