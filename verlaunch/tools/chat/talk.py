"""A conversation with two models at once: each remembers its own answers.

    talk = Talk(speakers, Sampling(0.0, 64, 1))
    talk.say("3+4=")          ->  ["8", "7"]
    talk.command("/reset")    ->  "Forgotten."

Left out on purpose: reading keys and drawing columns (command.py, columns.py).
"""

from collections.abc import Sequence
from typing import Protocol

from verlaunch.tools.chat.speaker import Answer, Conversation, Sampling

HELP = """\
/reset         forget what was said
/system TEXT   a system message, for a conversation that begins now; without TEXT: none
/help          this
/quit          end, as Ctrl-D does"""


class Speaks(Protocol):
    def ask(self, conversations: Sequence[Conversation], sampling: Sampling) -> None: ...

    def answers(self) -> list[Answer]: ...


class Quit(Exception):
    pass


def told(answer: Answer) -> str:
    """An answer as it is shown, with what should be known of it."""
    if answer.problem:
        return f"({answer.problem})"
    notes = []
    if answer.is_cut:
        notes.append("(cut: more with --max_tokens N)")
    if answer.forgot:
        notes.append(f"(without the first {answer.forgot} messages, which no longer fit)")
    return "\n".join([answer.text or "(an empty answer)", *notes])


def ask_all(
    speakers: Sequence[Speaks], conversations: Sequence[Sequence[Conversation]], sampling: Sampling
) -> list[list[Answer]]:
    """conversations and answers: by speaker. All speakers work at once."""
    for speaker, own in zip(speakers, conversations, strict=True):
        speaker.ask(own, sampling)
    return [speaker.answers() for speaker in speakers]


class Talk:
    def __init__(self, speakers: Sequence[Speaks], sampling: Sampling) -> None:
        self.speakers, self.sampling = speakers, sampling
        self.system = ""
        self._begin()

    def _begin(self) -> None:
        start = [{"role": "system", "content": self.system}] if self.system else []
        self.histories = [list(start) for _ in self.speakers]

    def say(self, text: str) -> list[str]:
        question = {"role": "user", "content": text}
        asked = [[[*history, question]] for history in self.histories]
        answers = [own[0] for own in ask_all(self.speakers, asked, self.sampling)]
        for history, answer in zip(self.histories, answers, strict=True):
            if not answer.problem:
                history += [question, {"role": "assistant", "content": answer.text}]
        return [told(answer) for answer in answers]

    def command(self, line: str) -> str:
        """What to say to a line that begins with a slash. Raises Quit."""
        word, _, rest = line.partition(" ")
        if word in ("/quit", "/exit"):
            raise Quit
        if word == "/reset":
            self._begin()
            return "Forgotten."
        if word == "/system":
            self.system = rest.strip()
            self._begin()
            return "A new conversation, with this system message." if self.system else "None now."
        return HELP if word == "/help" else f"{word}: no such command.\n{HELP}"
