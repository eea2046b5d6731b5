"""A file that is whole whenever someone looks at it.

with replacing(Path("report.html")) as partial:
    partial.write_text(page)
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A hidden neighbour to write; it becomes `file` at the end, and goes away on an error."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{os.getpid()}-{file.name}")
    try:
        yield partial
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)
