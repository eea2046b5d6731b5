"""./train.sh convert: Starling-RM-7B-alpha, as it was published -> what --reward_model takes.

    main(["Starling-RM-7B-alpha", "starling", "--tokenizer", "Llama-2-7b-chat-hf"])

Scores stay the same to the last bit. Needs the disk twice, memory for 2 GB of weights, no GPU. Its
licence allows research, not commerce; that of the tokenizer must be accepted on the hub.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rewards.models.fetch import fetch
from rewards.part import CannotStart
from verlaunch.errors import UserError
from verlaunch.paths import as_typed

ABOUT = "Turns Starling-RM-7B-alpha, as it was published, into a folder that --reward_model takes."


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=as_typed("./train.sh convert"), description=ABOUT)
    parser.add_argument("source", help="a folder with its config.json and its *.bin or *.pt")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--tokenizer", help="folder or hub id of Llama 2's; default: source's own")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    args = _arguments(words)
    from rewards.models.starling import NotStarling, convert  # brings torch

    try:
        tokenizer = fetch(args.tokenizer, "--tokenizer", weights=False) if args.tokenizer else None
        convert(fetch(args.source, "SOURCE"), args.out, tokenizer)
    except (CannotStart, NotStarling) as mistake:
        raise UserError(str(mistake)) from None
    print(as_typed(f"Wrote {args.out}. Train with it: ./train.sh --reward_model {args.out}"))
    return 0
