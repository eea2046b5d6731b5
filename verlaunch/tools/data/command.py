"""./train.sh data: reads, checks, measures and splits data, and says what was left out and why.

    main(["--data", "data/sample_math.json", "--model", "Qwen/Qwen2.5-0.5B", "--out", "prepared"])

A run does the same by itself; this is for looking before one, or for verl's own trainer.
"""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from verlaunch.errors import UserError
from verlaunch.inputs.data.build import Settings
from verlaunch.inputs.data.prepare import Prepared, prepare
from verlaunch.inputs.data.sources import folder_notes, sources
from verlaunch.paths import as_typed, cache_dir

ABOUT = "Prepares data by hand: reads, checks, measures, splits, and says what was kept."


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=as_typed("./train.sh data"), description=ABOUT)
    parser.add_argument("files", nargs="*", metavar="FILE", help="the same as --data")
    parser.add_argument("--data", help="files, folders, globs or hub ids")
    parser.add_argument("--val_data", help="the same for validation; default: held out of --data")
    parser.add_argument("--model", help="folder or hub id whose tokenizer measures the prompts")
    parser.add_argument("--prompt_key", help="column of the prompt (default: the usual names)")
    parser.add_argument("--answer_key", help="column of the answer (default: the usual names)")
    parser.add_argument("--data_source", help="a column, or one label for all rows")
    parser.add_argument("--max_prompt_length", type=int, default=512, help="tokens (default 512)")
    parser.add_argument("--val_size", type=int, help="rows held out (default 5 %%, at most 256)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder that gets train.parquet and val.parquet")
    args = parser.parse_args(words)
    args.data = ",".join([args.data] * bool(args.data) + args.files)
    if not args.data:
        parser.error("which data? For example: --data my.jsonl")
    return args


def settings_of(args: argparse.Namespace) -> Settings:
    keys = {name: getattr(args, name) for name in ("prompt_key", "answer_key", "data_source")}
    if args.val_data:
        val = sources(args.val_data, **keys, part="val")
    else:
        val = sources(args.data, **keys, part="held")
    limits = args.max_prompt_length, args.val_size, args.seed
    return Settings(sources(args.data, **keys, part="train"), val, args.model, *limits)


def show(prepared: Prepared, notes: Sequence[str]) -> None:
    where = " (from the cache)" if prepared.cached else ""
    print(f"read {prepared.read} rows{where}")
    print(f"  train {prepared.train_rows:>9}  {prepared.train_file}")
    print(f"  val   {prepared.val_rows:>9}  {prepared.val_file}")
    for reason, count in prepared.dropped.items():
        print(f"  left out {count:>6}  {reason}")
    for label, count in prepared.data_sources.items():
        print(f"  data_source {label}: {count}")
    for note in (*notes, *prepared.notes):
        print(f"  note: {note}")
    tokens = f", the longest has {prepared.longest_prompt} tokens" * (prepared.longest_prompt > 0)
    print(f"one prompt as the model sees it{tokens}:\n{prepared.example_prompt}")


def copy(prepared: Prepared, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for file in (prepared.train_file, prepared.val_file):
            print(f"wrote {shutil.copy(file, out)}")
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror}.") from None


def main(words: Sequence[str]) -> int:
    args = arguments(words)
    prepared = prepare(settings_of(args), cache_dir())
    show(prepared, folder_notes(args.data))
    if args.out:
        copy(prepared, args.out)
    return 0
