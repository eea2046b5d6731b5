r"""Multiple choice: is the chosen option the right one?

    compute_score("multiple_choice", "Both grow, so the answer is (B).", "B")
    # {"score": 1.0, "answered": 1.0}
    compute_score("multiple_choice", r"\boxed{Paris}", 1, {"choices": ["Rome", "Paris"]})
    # {"score": 1.0, "answered": 1.0}

In `<answer>` the whole is the choice. Else the last box, "answer is", "I choose" or "that leaves"
that settles on one option counts, else the last bold letter, else the last sentence, else the one
line that begins with a letter, else an option's text as the last line. Letters that are turned down
are none (`letters`), and two are no answer. Every pass is linear.
"""

import re
from collections import deque
from typing import Any

from rewards.rules.announced import FILLER, MOST_MARKERS, NO_NOUN, NO_VERB, marks
from rewards.rules.boxes import last_boxes
from rewards.rules.letters import REJECTED, SEVERAL, reader_of
from rewards.rules.options import Options, key, lettered, read_options
from rewards.rules.said import said, without_tags

LONGEST = 400  # characters behind a marker, and of a last line
LAST = 100_000  # characters of a response that are read, from its end
SHORT = 120  # characters before "is right"

_SENTENCE = re.compile(r"(?<!\b[A-Za-z0-9])\.(?:[\s*_]|$)|[。!?！？](?:[\s*_]|$)|[。;；？\n]")
_PARTS = re.compile(r"(?<=[.!?。！？;；])(?<!\b[A-Za-z]\.)\s+")
_BOLD = re.compile(r"\*\*\s{0,3}(?P<body>[^*\n]{1,200})\*\*")
_NOT = re.compile(r"\b(?:not|never|cannot)\b(?! only)|n['’]t\b", re.IGNORECASE)
_RIGHT = re.compile(
    r"(?:is|must be|has to be|seems|looks|would be)\s(?:\w+ly\s)?(?:the\s)?(?:only\s|most\s)?"
    r"(?:correct|right|best|accurate|answer)\b",
    re.IGNORECASE,
)
_BECAUSE = re.compile(r"(?:because|since|as|for|the reason)\b[^,]*$", re.IGNORECASE)
_EDGES = re.compile(r"^[\s(*_\"']+|[\s).*_\"']+$")
_FORMULA = re.compile(r"\\[()\[\]]|\$")


class Chooser:
    """Reads responses to one row: `letter` in a text -> the place of an option."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.named = options.named
        self.reader = reader_of("".join(sorted(name for name in self.named if len(name) == 1)))

    def _stated(self, text: str) -> str | int | None:
        """What an announced text settles on: a letter, an option by its text, SEVERAL, REJECTED."""
        text = _FORMULA.sub(" ", text)
        alone = self.reader.is_alone(text) or _EDGES.sub("", text).upper()
        if alone in self.named:
            return alone
        by_text = self._by_text(text)
        if by_text is not None:
            return by_text
        return self.reader.settle(self.reader.with_big(text), announced=True)

    def _by_text(self, text: str) -> int | None:
        """The option that reads as the text, or as what stands before its first comma."""
        if not self.options.texts:
            return None
        for cut in (text, text.partition(" because ")[0], text.partition(", ")[0]):
            found = self.options.with_text(cut.strip(" {}"))
            if found is not None:
                return found
        return None

    def _boxed(self, text: str) -> str | int | None:
        """The last box; with those before it where only "or", "and" or a comma lies between."""
        boxes = last_boxes(text)
        found = {self._stated(body[:LONGEST]) for body in boxes.bodies} if boxes else set()
        return found.pop() if len(found) == 1 else SEVERAL

    def _behind(self, mark: re.Match, text: str, end: int) -> str | int | None:
        before = text[max(0, mark.start() - 40) : mark.start()]
        body = text[mark.end() : min(end, mark.end() + LONGEST)]
        if mark["verb"]:
            lead = FILLER.match(body)
            near = body[lead.end() if lead else 0 :].partition("\n")[0]
            found = (
                self._stated(near) if self.reader.letter.match(self.reader.with_big(near)) else None
            )
            refused = found if found in (None, SEVERAL) else REJECTED
            return refused if NO_VERB.search(before) else found
        if mark["mended"]:
            return self.reader.settle(body.partition("\n")[0])
        if mark["pick"] and before.endswith("不"):
            return REJECTED
        if NO_NOUN.search(before):
            return None
        bare = body.lstrip(" \t\r\n*_:")
        if "\n" in body[: len(body) - len(bare)] and self._is_list(bare):
            return None
        return self._announced(("not " if _NOT.search(mark[0]) else "") + bare)

    def _is_list(self, body: str) -> bool:
        """The options, one after the other."""
        first = self.reader.label.match(body)
        labels = {m["round"] or m["plain"] for m in self.reader.label.finditer(body)}
        return bool(first and first["rest"].strip()) and len(labels) > 1

    def _announced(self, body: str) -> str | int | None:
        """The first sentence; the next ones only while letters are turned down."""
        line = body.partition("\n")[0]
        begin = 0
        found: str | int | None = None
        for stop in [*_SENTENCE.finditer(line), None]:
            end = stop.start() if stop else len(line)
            sentence = line[begin:end]
            is_question = stop is not None and stop[0][0] in "?？"
            now = None if is_question else self._stated(sentence) if sentence.strip() else None
            found = now if now is not None else found
            begin = stop.end() if stop else end
            if now != REJECTED and not is_question:
                break
        return found

    def _marked(self, text: str) -> str | int | None:
        """Behind the last marker that states something."""
        waiting = marks(text)
        end, refused = len(text), ""
        while waiting:
            mark = waiting[-1]
            found = self._boxed(text[:end]) if mark["box"] else self._behind(mark, text, end)
            if found == REJECTED:
                refused += text[mark.start() : end][:LONGEST] + "\n"
            elif found is not None:
                letters = {
                    letter for group in self.reader.groups(refused) for letter in group.letters
                }
                return SEVERAL if found in letters else found
            end = mark.start()
            waiting.pop()
        return REJECTED if refused else None

    def _bold(self, text: str) -> str | int | None:
        """The last bold letter, outside of a list of options."""
        listed = {m.start() for m in self.reader.label.finditer(text)}
        for bold in reversed(list(deque(_BOLD.finditer(text), maxlen=MOST_MARKERS))):
            line = text.rfind("\n", 0, bold.start()) + 1
            inside = self.reader.groups(bold["body"])
            is_first = inside and not bold["body"][: inside[0].start].strip("( ")
            if not is_first or (line in listed and len(listed) > 1):
                continue
            around = text[max(line, bold.start() - 60) : bold.start() + LONGEST]
            found = self.reader.settle(around.partition("\n")[0])
            if found not in (None, REJECTED):
                return found
        return None

    def _in_the_end(self, text: str) -> str | int | None:
        """The last sentence with a letter, of the last line."""
        last = text.rstrip().rpartition("\n")[2][-LONGEST:].strip()
        alone = self.reader.is_alone(last)
        if alone:
            return alone
        labels = [(m["round"] or m["plain"], m["rest"]) for m in self.reader.label.finditer(text)]
        if len({letter for letter, _ in labels}) > 1 and self.reader.label.match(last):
            return None  # the end of a list
        by_text = self._by_text(last)
        if by_text is not None:
            return by_text
        for sentence in reversed(_PARTS.split(last)):
            is_aside = sentence.rstrip(" *_").endswith("?") or _BECAUSE.match(sentence)
            found = None if is_aside else self.reader.settle(sentence)
            if found is not None:
                return found
        return None

    def _of_lines(self, text: str) -> str | None:
        """The one line that begins with a letter, else the one option that is called right."""
        labels = {m["round"] or m["plain"] for m in self.reader.label.finditer(text)}
        if len(labels) == 1:
            return labels.pop()
        right = {
            self.reader.settle(self._up_to(mark, text))
            for mark in deque(_RIGHT.finditer(text), maxlen=MOST_MARKERS)
        } - {None, REJECTED}
        return right.pop() if len(right) == 1 else None

    def _up_to(self, mark: re.Match, text: str) -> str:
        """The sentence that ends in "is right", with what comes before the next stop."""
        lead = text[max(0, mark.start() - SHORT) : mark.start()]
        stops = list(_SENTENCE.finditer(lead))
        return lead[stops[-1].end() :] + mark[0] if stops else lead + mark[0]

    def chosen(self, response: str) -> int | None:
        """The place of the option that a response settles on, None when it does not."""
        text, tagged = said(response)
        text = without_tags(text[-LAST:]) if "<" in text else text[-LAST:]
        found: str | int | None = (
            self._stated(text.strip()) if tagged and len(text) <= LONGEST else None
        )
        steps = (self._marked, self._bold, self._in_the_end, self._of_lines)
        for step in steps:
            found = step(text) if found in (None, REJECTED) else found
        return found if isinstance(found, int) else self.named.get(found or "")


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str | int,
    extra_info: dict[str, Any] | None = None,
) -> dict[str, float]:
    """score: 1.0 or 0.0; answered: 1.0 when one option was chosen at all.

    ground_truth, or extra_info["answerKey"]: a label, an index from 0, or an option's text.
    extra_info["choices"], or ["options"]: the options.
    """
    extra = extra_info or {}
    truth = (
        extra["answerKey"] if ground_truth in ("", None) and "answerKey" in extra else ground_truth
    )
    options = read_options(extra) or lettered(truth)
    gold, choice = key(truth, options), Chooser(options).chosen(solution_str)
    return {"score": float(choice == gold), "answered": float(choice is not None)}
