"""What can be seen of a response without understanding it: is it cut, does it state the answer?

short("a\\n b " * 99)                         # one line, the middle left out
looks_cut("First we add 4 and 5, which giv")  # True
states("so it is 42.", "6 * 7 = 42 #### 42")  # True
"""

import re

HEAD, TAIL = 50, 70  # answers stand at the end
LEAST = 30  # characters of a sentence; "Paris" and "yes" are whole answers
LAST = 200  # characters that an answer is looked for in
LONGEST = 40  # characters of an answer that can be looked for
ENDS = tuple(".!?…。！？:：;；)]}>）】」』\"'”’*`$|#%~")


def short(text: str, head: int = HEAD, tail: int = TAIL) -> str:
    """One line in quotes, without its middle when it is long."""
    line = " ".join(text.split())
    if len(line) > head + tail + 5:
        line = f"{line[:head]} ... {line[-tail:]}"
    return f'"{line}"'


def looks_cut(text: str) -> bool:
    """Stops in mid-sentence, or while it still thinks or writes code."""
    text = text.rstrip()
    if "<think>" in text and "</think>" not in text:
        return True
    return len(text) >= LEAST and not text.endswith(ENDS) and not text[-1].isdigit()


def states(text: str, truth: object) -> bool:
    """The end of the text holds the reference answer as words of its own."""
    answer = str(truth).rpartition("####")[2].strip()
    if not answer or len(answer) > LONGEST or not any(map(str.isalnum, answer)):
        return False
    words = rf"(?<![\w.,]){re.escape(answer)}(?![\w]|[.,]\d)"
    return re.search(words, text[-LAST:], re.IGNORECASE) is not None
