"""Second pass: duplicates go, rows are split, and the two parquet files are written.

    meta = build(settings, Path("made"), progress)  # the facts of `Prepared`, as plain data

Every row that was read ends in train, in val, or in `dropped` under one reason.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count as counting
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from verlaunch.errors import UserError
from verlaunch.inputs.data import select
from verlaunch.inputs.data.chat import Meter, plain
from verlaunch.inputs.data.layout import Columns, final_table
from verlaunch.inputs.data.pool import Pool, Progress, fill
from verlaunch.inputs.data.rows import NO_LABEL, told_unseen
from verlaunch.inputs.data.sources import Source

ROW_GROUP = 8192
TRAIN, VAL = "train.parquet", "val.parquet"


@dataclass(frozen=True)
class Settings:
    """model_path: whose tokenizer measures prompts (folder or hub id); None: not measured.

    val_size: rows held out, or the most rows of `val_sources`; None: 5 %, at most 256, or all.
    chat_template: Jinja text instead of the model's own.
    overlap: keep training prompts that are also in `val_sources`, for a task so small that its
        few prompts are the whole of it.
    """

    sources: tuple[Source, ...]
    val_sources: tuple[Source, ...] = ()
    model_path: str | None = None
    max_prompt_length: int = 512
    val_size: int | None = None
    seed: int = 1
    chat_template: str | None = None
    overlap: bool = False


def build(settings: Settings, out: Path, progress: Progress | None) -> dict[str, Any]:
    meter = None
    if settings.model_path is not None:
        meter = Meter.load(settings.model_path, settings.chat_template)
    columns = Columns()
    limit = settings.max_prompt_length
    pools = out.parent
    train = fill(settings.sources, pools / "train", meter, limit, columns, progress)
    if settings.val_sources:
        shifted = None if progress is None else _shifted(progress, train.read)
        val = fill(settings.val_sources, pools / "val", meter, limit, columns, shifted)
        masks = _masks_of_two(train, val, settings)
    else:
        val = train
        masks = _masks_of_one(train, settings)
    labels: Counter[str] = Counter()
    _write(train, masks[0], out / TRAIN, "train", labels)
    _write(val, masks[1], out / VAL, "val", labels)
    return _meta(train, val, masks, labels, meter, out)


def _shifted(progress: Progress, by: int) -> Callable[[int], None]:
    return lambda rows: progress(by + rows)


def _masks_of_one(pool: Pool, settings: Settings) -> tuple[select.Mask, select.Mask]:
    keep = select.firsts(pool.digests)
    rows = int(keep.sum())
    pool.dropped["duplicate prompt"] += len(keep) - rows
    size = settings.val_size or select.default_val_size(rows)
    if size >= rows:
        raise UserError(
            f"Only {rows} different prompts, and {size} would be held out for validation. "
            "Pass --val_data FILE, a smaller --val_size, or more data."
        )
    val = select.choose(keep, size, settings.seed)
    return keep & ~val, val


def _masks_of_two(train: Pool, val: Pool, settings: Settings) -> tuple[select.Mask, select.Mask]:
    unique = select.firsts(val.digests)
    size = settings.val_size or len(val)
    chosen = select.choose(unique, size, settings.seed)
    val.dropped["duplicate prompt"] += len(val) - int(unique.sum())
    val.dropped["validation row beyond --val_size"] += int(unique.sum() - chosen.sum())
    # measured on data that it was trained on, a model looks better than it is
    firsts = select.firsts(train.digests)
    keep = firsts if settings.overlap else select.absent_from(train.digests, val.digests)
    train.dropped["duplicate prompt"] += len(train) - int(firsts.sum())
    train.dropped["also in the validation data"] += int(firsts.sum() - keep.sum())
    if not keep.any():
        raise UserError("Every training prompt is also in the validation data. Pass other data.")
    return keep, chosen


def _write(pool: Pool, mask: select.Mask, to: Path, split: str, labels: Counter[str]) -> None:
    writer = None
    at = written = 0
    with pq.ParquetFile(pool.path, pre_buffer=False) as file:  # else it is all kept in memory
        for batch in file.iter_batches(batch_size=ROW_GROUP):
            part = pa.table(batch).filter(pa.array(mask[at : at + len(batch)]))
            at += len(batch)
            if not len(part):
                continue
            table = final_table(part, counting(written), split, pool.columns)
            writer = writer or pq.ParquetWriter(to, table.schema)
            writer.write_table(table)
            written += len(part)
            for count in table["data_source"].value_counts().to_pylist():
                labels[count["values"]] += count["counts"]
    if writer is not None:
        writer.close()


def _meta(
    train: Pool,
    val: Pool,
    masks: tuple[select.Mask, select.Mask],
    labels: Counter[str],
    meter: Meter | None,
    out: Path,
) -> dict[str, Any]:
    pools = [train] if val is train else [train, val]
    dropped = sum((pool.dropped for pool in pools), Counter())
    return {
        "train_rows": int(masks[0].sum()),
        "val_rows": int(masks[1].sum()),
        "read": sum(pool.read for pool in pools),
        "dropped": dict(dropped.most_common()),
        "data_sources": dict(labels.most_common()),
        "example_prompt": _example(out / TRAIN, meter),
        "notes": _notes(pools, labels, meter),
        "longest_prompt": max(max(pool.lengths) for pool in pools),
    }


def _example(file: Path, meter: Meter | None) -> str:
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        batch = next(parquet.iter_batches(batch_size=1, columns=["prompt"]))
    prompt = batch.to_pylist()[0]["prompt"]
    return meter.shown(prompt) if meter else plain(prompt)


def _notes(pools: list[Pool], labels: Counter[str], meter: Meter | None) -> list[str]:
    found = [meter.note if meter else None, pools[0].columns.note()]
    found.append(told_unseen({name: None for pool in pools for name in pool.unseen}))
    without = sum(pool.without_answer for pool in pools)
    if without:
        found.append(f"{without} rows have no answer; a rule has nothing to compare them with.")
    if labels[NO_LABEL]:
        found.append(f"{labels[NO_LABEL]} rows have no data_source; set one with --data_source.")
    return [note for note in found if note]
