"""Datasets of the Hugging Face hub, streamed, and folders written by `Dataset.save_to_disk`.

    rows(Source("openai/gsm8k", "hub", name="main", split="train"))

The hub is asked one short question first, so that a machine without network hears so within
seconds; the library's own retries take minutes. With HF_HUB_OFFLINE=1 only the library's local
copies are used. Everything is imported late: a run on local files never pays for it.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from verlaunch.errors import UserError
from verlaunch.inputs.data.labels import names_of, with_labels
from verlaunch.inputs.data.sources import Source

ASK_TIMEOUT_S = 3.0
DEFAULT_SPLIT = "train"


def ask(repo: str, kind: str = "dataset", instead: str = "--data FILE") -> str:
    """The repository's current commit. kind: dataset or model; instead: what to pass where the hub
    is out of reach. Raises UserError, never hangs."""
    import httpx
    from huggingface_hub import HfApi, errors

    try:
        ask_hub = HfApi().repo_info
        info = _within(ASK_TIMEOUT_S, lambda: ask_hub(repo, repo_type=kind, timeout=ASK_TIMEOUT_S))
    except errors.GatedRepoError:
        raise UserError(f"{kind} {repo}: access is gated. Ask for it on its page, then run "
                        "`hf auth login`.") from None  # fmt: skip
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        raise UserError(
            f"{kind} {repo} is neither a local path nor on the hub (or it is private: "
            "run `hf auth login`)."
        ) from None
    except (OSError, httpx.HTTPError, errors.HfHubHTTPError) as error:
        raise UserError(_unreachable(f"{kind} {repo}", instead, error)) from None
    return info.sha or ""


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """`call()`, or TimeoutError: a name server that never answers heeds no client's timeout."""
    box: queue.Queue[tuple[Any, Exception | None]] = queue.Queue()

    def work() -> None:
        try:
            box.put((call(), None))
        except Exception as error:  # raised again by the waiting thread
            box.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        value, error = box.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds} s") from None
    if error is not None:
        raise error
    return value


def _unreachable(what: str, instead: str, error: Exception) -> str:
    if is_offline():
        why = "HF_HUB_OFFLINE is set and no copy is on this machine"
    else:
        why = f"the hub cannot be reached ({type(error).__name__})"
    return f"{what}: {why}. Download it where there is a network and pass {instead}."


def is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def identity(source: Source) -> str:
    """What changes when the dataset changes: its commit, or the local copy's fingerprint."""
    if not is_offline():
        return ask(source.path)
    return str(_load(source)._fingerprint)


def rows(source: Source) -> Iterator[dict[str, Any]]:
    """Streams the rows of a hub dataset in the memory of one batch."""
    if not is_offline():
        ask(source.path)
    yield from _worded(_load(source))


def _load(source: Source) -> Any:
    import datasets

    datasets.disable_progress_bars()
    split = source.split or DEFAULT_SPLIT
    streaming = not is_offline()  # streaming never looks at local copies
    try:
        return datasets.load_dataset(source.path, source.name, split=split, streaming=streaming)
    except ConnectionError as error:
        raise UserError(_unreachable(source.path, "dataset", error)) from None
    except (ValueError, RuntimeError, OSError, datasets.exceptions.DatasetsError) as error:
        # the library's text lists the configurations or splits that exist
        raise UserError(
            f"dataset {source.path} (configuration {source.name}, split {split}): {error} "
            "Write it org/name:configuration@split."
        ) from None


def saved_rows(source: Source) -> Iterator[dict[str, Any]]:
    """The rows of a `save_to_disk` folder; memory-mapped by the library."""
    import datasets

    folder = str(Path(source.path).expanduser())
    try:
        data = datasets.load_from_disk(folder, keep_in_memory=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is not a readable saved dataset: {error}") from None
    if isinstance(data, datasets.DatasetDict):
        split = source.split or DEFAULT_SPLIT
        if split not in data:
            raise UserError(f"{folder} has no split {split!r}; it has: {', '.join(data)}.")
        data = data[split]
    yield from _worded(data)


def _worded(data: Any) -> Iterator[dict[str, Any]]:
    names = names_of(data.features)
    return (with_labels(row, names) for row in data)
