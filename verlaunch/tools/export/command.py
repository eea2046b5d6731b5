"""./train.sh export: from the words typed to folders that transformers and vLLM load.

    main(["outputs", "--step", "best"])   # 0: outputs/exported/step_40/{actor,critic} are there

Left out on purpose: pushing to a hub, which `hf upload NAME OUT/actor` does.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from verlaunch.errors import UserError
from verlaunch.paths import as_typed
from verlaunch.text import plural
from verlaunch.tools.door import exit_code
from verlaunch.tools.export import room
from verlaunch.tools.export.pick import EXPORTED, LAST, pick
from verlaunch.tools.export.proven_export import Order, write

ABOUT = "Turns a run's checkpoint into Hugging Face folders of the policy and of the critic."
MORE = """\
OUT/actor is the policy (LoRA merged; with --adapter OUT/adapter is the adapter alone,
for peft), OUT/critic the value model. Both are loaded again, the policy answers a prompt
of the run, and their outputs are compared with the training shards: above 1e-3 (fp32) or
2 % (rounded) the export is refused. Memory: at most a few GiB to export, one fp32 copy of
the model to prove it. No GPU, no Ray.

Exit code: 0, 1 when the proof fails, 2 for a mistake in the command.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=as_typed("./train.sh export"), description=ABOUT, epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("run", metavar="RUN", type=Path, help="a run's folder, or a checkpoint's")
    parser.add_argument(
        "out", metavar="OUT", type=Path, nargs="?",
        help="the folder to write; default: RUN/exported/step_N",
    )  # fmt: skip
    parser.add_argument(
        "--step", default=LAST, metavar="N|best|last",
        help="which checkpoint; best is by validation (default: last)",
    )  # fmt: skip
    parser.add_argument(
        "--dtype", choices=("keep", "float32", "bfloat16"), default="keep",
        help="keep: what the base model is published in (default)",
    )  # fmt: skip
    parser.add_argument("--adapter", action="store_true", help="the LoRA adapter alone, unmerged")
    parser.add_argument(
        "--no-critic", "--no_critic", action="store_true", help="leave the critic out"
    )
    parser.add_argument("--no-check", "--no_check", action="store_true",
                        help="write without loading and comparing")  # fmt: skip
    return parser


def _order(words: Sequence[str] | None) -> Order:
    args = _parser().parse_args(words)
    picked = pick(args.run, args.step)
    if args.out is None and picked.run is None:
        raise UserError(f"{args.run} lies in no run's folder. Say where to write: OUT.")
    out = args.out or (picked.run or Path()) / EXPORTED / f"step_{picked.checkpoint.step}"
    out = out.expanduser().resolve()
    room.check_empty(out)
    critic = not args.no_critic and (picked.checkpoint.path / "critic").is_dir()
    return Order(picked, out, args.dtype, args.adapter, critic, not args.no_check)


def _export(words: Sequence[str] | None) -> int:
    order = _order(words)
    checkpoint = order.picked.checkpoint
    print(
        f"Exporting step {checkpoint.step} of {order.picked.run or checkpoint.path} "
        f"(saved by {plural(checkpoint.ranks, 'rank')})",
        flush=True,
    )
    from verlaunch.weights.shards import CannotExport

    try:
        write(order)
    except CannotExport as error:
        print(f"error: {error} Nothing was written.", file=sys.stderr)
        return 1
    folders = [order.out / order.name, *([order.out / "critic"] if order.critic else [])]
    print(f"Wrote {' and '.join(map(str, folders))}")
    return 0


def main(words: Sequence[str] | None = None) -> int:
    return exit_code(lambda: _export(words), "Stopped; nothing was written.")
