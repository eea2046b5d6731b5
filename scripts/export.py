#!/usr/bin/env python3
"""Turns a checkpoint into a Hugging Face folder that transformers and vLLM load.

    .venv/bin/python scripts/export.py outputs/checkpoints/global_step_60 exported
    .venv/bin/python scripts/export.py outputs/checkpoints/global_step_60 value --role critic

A LoRA adapter is merged into the weights and also written to OUT/adapter. Needs memory for one copy
of the model; no GPU, no Ray.
"""

import argparse
import sys
from pathlib import Path

from verlaunch import checkpoints


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help=".../checkpoints/global_step_N")
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--role", choices=("actor", "critic"), default="actor")
    parser.add_argument("--base_model", default="", help="named in the adapter's config")
    args = parser.parse_args()
    found = checkpoints.read(args.checkpoint)
    if found is None or not (args.checkpoint / args.role).is_dir():
        near = [str(c.path) for c in checkpoints.all_complete(args.checkpoint.parent)]
        print(
            f"error: {args.checkpoint} is not a complete checkpoint with a {args.role}. "
            f"Complete ones beside it: {', '.join(near) or 'none'}.",
            file=sys.stderr,
        )
        return 2
    if args.out.exists() and any(args.out.iterdir()) and not (args.out / "config.json").is_file():
        print(f"error: {args.out} holds other files. Name an empty folder.", file=sys.stderr)
        return 2
    from verlaunch.engine.export import export

    print(f"Wrote {export(args.checkpoint / args.role, args.out, args.base_model)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
