#!/usr/bin/env python3
"""Turns Starling-RM-7B-alpha, as it was published, into a folder that --reward_model takes.

    .venv/bin/python scripts/convert_reward_model.py Starling-RM-7B-alpha starling \\
        --tokenizer Llama-2-7b-chat-hf

Scores stay the same to the last bit. Needs the disk twice, memory for 2 GB of weights, no GPU. Its
licence allows research, not commerce; that of the tokenizer must be accepted on the hub.
"""

import argparse
import sys
from pathlib import Path

from rewards.models.fetch import fetch
from rewards.models.starling import NotStarling, convert
from rewards.part import CannotStart


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="a folder with its config.json and its *.bin or *.pt")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--tokenizer", help="folder or hub id of Llama 2's; default: source's own")
    args = parser.parse_args()
    try:
        tokenizer = fetch(args.tokenizer, "--tokenizer", weights=False) if args.tokenizer else None
        convert(fetch(args.source, "SOURCE"), args.out, tokenizer)
    except (CannotStart, NotStarling) as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    print(f"Wrote {args.out}. Train with it: ./train.sh --reward_model {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
