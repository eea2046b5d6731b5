"""Sources -> train.parquet and val.parquet in verl's layout, cached by content and settings.

    prepared = prepare(Settings(sources("data/sample_math.json"), model_path="models/tiny"), cache)
    print(prepared.train_rows, prepared.dropped)

Two passes: `pool.fill` reads and measures every row, `build` drops duplicates, splits and writes.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError
from verlaunch.inputs.data import hub, store
from verlaunch.inputs.data.build import TRAIN, VAL, Settings, build
from verlaunch.inputs.data.chat import tokenizer_digest
from verlaunch.inputs.data.pool import Progress
from verlaunch.inputs.data.sources import Source

FORMAT = 2  # raise it when the files change for the same input, so that old caches are left alone


@dataclass(frozen=True)
class Prepared:
    """read = train_rows + val_rows + sum(dropped). longest_prompt: tokens, 0 when not measured."""

    train_file: Path
    val_file: Path
    train_rows: int
    val_rows: int
    read: int
    dropped: dict[str, int]
    data_sources: dict[str, int]
    example_prompt: str
    notes: tuple[str, ...]
    longest_prompt: int
    cached: bool


def prepare(settings: Settings, cache: Path, progress: Progress | None = None) -> Prepared:
    """Raises UserError for every fault of the data. `progress` gets the rows read so far."""
    for name in ("max_prompt_length", "val_size"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} must be 1 or more, got {value}.")
    folder = cache / "data" / store.key_of(_facts(settings))
    meta = store.load(folder)
    cached = meta is not None
    if meta is None:
        meta = store.kept(folder, lambda out: build(settings, out, progress))
    facts = {key: value for key, value in meta.items() if key != "sizes"}
    facts["notes"] = tuple(facts["notes"])
    return Prepared(train_file=folder / TRAIN, val_file=folder / VAL, cached=cached, **facts)


def _facts(settings: Settings) -> dict[str, Any]:
    facts = asdict(settings)
    facts["sources"] = [_identity(source) for source in settings.sources]
    facts["val_sources"] = [_identity(source) for source in settings.val_sources]
    if settings.model_path is not None:
        facts["model_path"] = tokenizer_digest(settings.model_path)
    return {**facts, "format": FORMAT}


def _identity(source: Source) -> list[Any]:
    columns = [source.type, source.input, source.output, source.data_source, source.split]
    if source.type == "hub":
        return [*columns, source.path, source.name, hub.identity(source)]
    path = Path(source.path).expanduser()
    try:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        return [*columns, *(store.file_digest(file) for file in files)]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
