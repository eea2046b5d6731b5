r"""The program in a response: the last fenced block of Python, else the whole text.

    find_program("First,\n```python\nprint(1)\n```")  # "print(1)\n"

Nothing of the model's is parsed as Python here: it can break a compiler, and the sandbox has one.
"""

import ast
import re
import textwrap
from collections.abc import Mapping
from typing import Any

LONGEST = 100_000  # characters; a longer program is no program
_PYTHON = {"", "python", "python3", "py", "py3"}
_FENCE = re.compile(
    r"^[ \t]*(?P<ticks>`{3,}|~{3,})[ \t]*(?P<language>[\w+#.-]*)[^\n]*$", re.MULTILINE
)


def _block(opened: re.Match, body: str) -> tuple[str, str]:
    indented = opened[0][0] in " \t"  # as in a list
    return opened["language"].lower(), textwrap.dedent(body) if indented else body


def _blocks(text: str) -> list[tuple[str, str]]:
    """(language, body) of every fenced block; one that is still open at the end counts as well."""
    found: list[tuple[str, str]] = []
    opened: re.Match | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence["ticks"].startswith(opened["ticks"]) and not fence["language"]:
            found.append(_block(opened, text[opened.end() + 1 : fence.start()]))
            opened = None
    if opened is not None:
        found.append(_block(opened, text[opened.end() + 1 :]))
    return found


def find_program(response: str) -> str | None:
    """The last block marked as Python, the last one without a mark, or the whole response.

    None: nothing but space, blocks of other languages only, or longer than LONGEST.
    """
    blocks = _blocks(response)
    marked = [body for language, body in blocks if language in _PYTHON - {""}]
    bare = [body for language, body in blocks if language == ""]
    program = (marked or bare or ([""] if blocks else [response]))[-1]
    return program if program.strip() and len(program) <= LONGEST else None


def completed(program: str, extra_info: Mapping[str, Any] | None) -> str:
    """With what HumanEval's `prompt` gives beside the function: the program may be no more than the
    body that the prompt leaves open, and tests use the prompt's other functions."""
    prompt = (extra_info or {}).get("prompt")
    if not isinstance(prompt, str) or "def " not in prompt or len(prompt) > LONGEST:
        return program
    if program.lstrip("\n")[:1] in (" ", "\t"):
        return f"{prompt.rstrip()}\n{program}"
    return f"{_others(prompt)}{program}"


def _others(prompt: str) -> str:
    """The functions and imports of a prompt before the one that it leaves open."""
    try:
        body = ast.parse(f"{prompt.rstrip()}\n    pass\n").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return "".join(f"{ast.unparse(line)}\n\n" for line in body[:-1])
