"""Where rows come from: a flag's text or a YAML list -> a tuple of `Source`, checked to exist.

    sources("data/a.json,data/more/*.jsonl")
    sources([{"path": "openai/gsm8k:main@train", "input": "question", "output": "answer"}])

A path that exists wins over a hub dataset of the same name. Nothing is opened here.
"""

import difflib
import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError, raise_all
from verlaunch.inputs.data import folders, splits
from verlaunch.paths import sample

TYPES = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
TABLES = {".csv": "csv", ".tsv": "csv", ".arrow": "arrow", ".feather": "arrow"}
KNOWN = TYPES | TABLES
ALLOWED_TYPES = ("json", "jsonl", "parquet", "csv", "arrow", "saved", "hub")
CONVERT = {  # extension -> what to type for a file that is not read
    ".gz": "gunzip -k {path}",
    ".bz2": "bunzip2 -k {path}",
    ".xz": "unxz -k {path}",
    ".zst": "unzstd {path}",
    ".zip": "unzip {path}",
    ".xlsx": "save it as CSV in the program that wrote it",
}
KEYS = ("path", "type", "input", "output", "data_source", "name", "split")
_HUB = re.compile(r"(?P<id>[\w-][\w.-]*/[\w.-]+?)(:(?P<name>[\w.-]+))?(@(?P<split>[^/@]+))?")


@dataclass(frozen=True)
class Source:
    """One file or one hub dataset.

    type: json, jsonl, parquet, saved (a folder of `save_to_disk`) or hub.
    input, output: the columns of prompt and answer, dots allowed; None: try the usual names.
    data_source: a column, or one label for all rows; None: the rows' own `data_source`.
    name, split: hub only, the dataset's configuration and split ("train" when None).
    """

    path: str
    type: str | None = None
    input: str | None = None
    output: str | None = None
    data_source: str | None = None
    name: str | None = None
    split: str | None = None


def sources(
    spec: Any,
    *,
    prompt_key: str | None = None,
    answer_key: str | None = None,
    data_source: str | None = None,
    part: str | None = None,
) -> tuple[Source, ...]:
    """A path, folder, glob, hub id, or a list of these or of dicts; all faults raised together.

    part: of a folder's files, those to "train" on or to validate on ("val"), by their names; the
    "held" are the latter, and nothing of what is no folder. None: all.
    """
    found: list[Source] = []
    problems: list[str] = []
    for entry in _entries(spec):
        merged = {"input": prompt_key, "output": answer_key, "data_source": data_source}
        merged.update({key: value for key, value in entry.items() if value is not None})
        try:
            found += _expand(merged, part)
        except UserError as error:
            problems += error.problems
    raise_all(problems)
    if not found and part != "held":
        raise UserError(f"No data was named. Type for example: --data {sample()}")
    return tuple(dict.fromkeys(found))


def _entries(spec: Any) -> list[dict[str, Any]]:
    if isinstance(spec, (str, Path)):
        text = str(spec).strip()
        whole = "," not in text or Path(text).expanduser().exists()
        parts = [text] if whole else [part.strip() for part in text.split(",")]
        return [{"path": part} for part in parts if part]
    if isinstance(spec, Mapping):
        return [_checked(spec)]
    if isinstance(spec, (list, tuple)):
        return [entry for item in spec for entry in _entries(item)]
    raise UserError(f"data: {spec!r} is not a path, a list, or a map with the keys {list(KEYS)}.")


def _checked(entry: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [key for key in entry if key not in KEYS]
    if unknown:
        close = difflib.get_close_matches(str(unknown[0]), KEYS, 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UserError(f"data: unknown key {unknown[0]!r}; allowed: {', '.join(KEYS)}.{hint}")
    wrong = [key for key in entry if entry[key] is not None and not isinstance(entry[key], str)]
    if wrong or not entry.get("path"):
        key = wrong[0] if wrong else "path"
        raise UserError(f"data: {key} must be text, got {entry.get(key)!r}.")
    return dict(entry)


def _expand(entry: dict[str, Any], part: str | None) -> list[Source]:
    source = Source(**entry)
    if source.type is not None and source.type not in ALLOWED_TYPES:
        allowed = ", ".join(ALLOWED_TYPES)
        raise UserError(f"data: type {source.type!r} of {source.path} is not one of: {allowed}.")
    path = Path(source.path).expanduser()
    if source.type != "hub" and path.exists():
        return _of_splits(source, path, part) or [
            _with(source, str(file)) for file in _of_part(path, part)
        ]
    if part == "held":
        return []
    if source.type != "hub" and glob.has_magic(source.path) and not _HUB.fullmatch(source.path):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        if not matches:
            raise UserError(f"{source.path}: no file matches this pattern.")
        return [_with(source, str(file)) for match in matches for file in _files(match)]
    return [_hub(source)]


def _with(source: Source, path: str) -> Source:
    kind = source.type or ("saved" if Path(path).is_dir() else KNOWN.get(Path(path).suffix.lower()))
    if kind is None:
        raise UserError(_unknown(path, Path(path).suffix))
    return Source(path, kind, source.input, source.output, source.data_source, None, source.split)


def _unknown(path: str, end: str) -> str:
    known = f"{path}: unknown extension {end!r}; known: {', '.join(KNOWN)}."
    if end.lower() in CONVERT:
        return f"{known} Convert it: {CONVERT[end.lower()].format(path=path)}"
    return f"{known} Convert it, or give its type in YAML: {{path: ..., type: jsonl}}."


def _of_splits(source: Source, path: Path, part: str | None) -> list[Source]:
    """Of one file that holds several splits, the rows of this part."""
    inside = splits.of(path) if source.split is None and part and path.is_file() else {}
    if part == "train" and inside and "train" not in inside:
        raise UserError(
            f"{path} holds only rows of validation or test, under {inside['val']!r}. To train on "
            f"them, say so in YAML: {{path: {path}, split: {inside['val']}}}."
        )
    key = inside.get("train" if part == "train" else "val")
    return [replace(_with(source, str(path)), split=key)] if key else []


def _of_part(path: Path, part: str | None) -> Sequence[Path]:
    files = _files(path)
    if files == [path]:
        return () if part == "held" else files
    if part is None:
        return files
    if part == "val":  # whatever is there, where no name says that it is for that
        kinds = {file: folders.split_of(file, path) for file in files}
        val = [file for kind in ("val", "test") for file in files if kinds[file] == kind]
        return val or files
    parts = folders.of(path, files)
    return parts.train if part == "train" else parts.val


def folder_notes(spec: Any) -> tuple[str, ...]:
    """What becomes of the files of a folder, and of a file's splits, that are not trained on."""
    found = []
    for path in (Path(entry["path"]).expanduser() for entry in _entries(spec)):
        if inside := splits.of(path):
            found.append(f"held out of {path} by its key: {inside['val']}")
            found += [f"not used of {path}: {inside['others']}"] if "others" in inside else []
        files = _files(path) if path.is_dir() else [path]
        if files == [path]:
            continue
        parts = folders.of(path, files)
        if parts.val:
            found.append(f"held out of {path} by name: {folders.told(path, parts.val)}")
        if parts.others:
            found.append(f"not used of {path}: {folders.told(path, parts.others)}")
    return tuple(found)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    try:
        inside = sorted(p for p in path.rglob("*") if not p.name.startswith("."))
        list(path.iterdir())  # rglob is silent about a folder that may not be read
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
    if any((path / marker).is_file() for marker in ("state.json", "dataset_dict.json")):
        return [path]
    for kinds in (TYPES, TABLES):  # beside other files a table is about something else
        if files := [p for p in inside if p.is_file() and p.suffix.lower() in kinds]:
            return files
    held = ", ".join(p.name for p in inside[:5]) or "nothing"
    raise UserError(f"{path} holds no {', '.join(KNOWN)} file; it holds: {held}.")


def _hub(source: Source) -> Source:
    match = _HUB.fullmatch(source.path)
    if source.type == "hub" and match is None:
        raise UserError(f"{source.path!r} is not a hub dataset; write org/name:config@split.")
    if match is None or (source.type != "hub" and _looks_like_file(source.path)):
        raise UserError(_not_found(source.path))
    name, split = source.name or match["name"], source.split or match["split"]
    where = source.input, source.output, source.data_source
    return Source(match["id"], "hub", *where, name, split)


def _looks_like_file(text: str) -> bool:
    known = {*KNOWN, *CONVERT, ".txt"}
    return Path(text).suffix.lower() in known or Path(text).parent.is_dir()


def _not_found(text: str) -> str:
    if text.startswith(("http://", "https://")):
        if named := re.search(r"/datasets/([^/?#]+/[^/?#]+)", text):
            return f"{text} is the address of a page. Use its name: {named[1]}"
        return f"{text} is an address. Download it first: curl -LO {text}"
    path = Path(text).expanduser()
    folder = path.parent
    try:
        there = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    except OSError:
        return f"{text} not found: the folder {folder} is not there or cannot be read."
    close = difflib.get_close_matches(path.name, there, 3, 0.5)
    data = [name for name in there if Path(name).suffix.lower() in KNOWN][:5]
    names = close or data
    hint = f" {'Close' if close else 'There'}: {', '.join(names)}." if names else ""
    return f"{text} not found in {folder.resolve()}.{hint} (A hub dataset is written org/name.)"
