"""What the loopback judge of these tests grades by: sums, right or wrong."""

import re

RIGHT, WRONG = 10, 1


def _between(tag: str, text: str) -> str:
    """The last one: the rules before it speak of such tags too."""
    return re.findall(rf"<{tag}-(\w+)>(.*?)</{tag}-\1>", text, re.DOTALL)[-1][1].strip()


def sums(text: str) -> int:
    """text: a whole request, about `a+b=` or one of the two that try a judge at the start."""
    problem = re.search(r"(\d+)\s*\+\s*(\d+)", _between("prompt", text))
    answer = re.search(r"\d+", _between("response", text))
    if problem is None:
        return RIGHT if answer else WRONG
    right = answer is not None and int(problem[1]) + int(problem[2]) == int(answer[0])
    return RIGHT if right else WRONG
