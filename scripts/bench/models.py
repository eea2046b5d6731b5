#!/usr/bin/env python3
"""Random Qwen2 models to measure with; nothing is downloaded.

    .venv/bin/python scripts/bench/models.py outputs/model-10M --size 10M

0.4M has the shape of the CPU demo's model, 10M has 10.7 M parameters and 100M has 99.9 M. Most have
the demo's vocabulary of 260, so that the layers' work is what is measured. Heads have 32 or 64.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
from gpu_check.models import write_model  # noqa: E402
from gpu_check.sizes import GPU, Shape  # noqa: E402

SIZES = {
    "0.4M": Shape(128, 256, 2, 4, 4, 260),
    "3M": Shape(256, 768, 4, 8, 8, 260),
    "10M": Shape(384, 1024, 6, 6, 6, 260),
    "30M": Shape(512, 1536, 9, 8, 8, 260),
    "50M-wide": Shape(512, 1536, 9, 8, 8, 32768),  # a vocabulary as large as people's models have
    "100M": Shape(768, 2304, 13, 12, 12, 260),
    **GPU.shapes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", choices=tuple(SIZES), default="10M")
    args = parser.parse_args()
    print(write_model(args.folder, SIZES[args.size]))


if __name__ == "__main__":
    main()
