"""./train.sh score: from the words typed to one screen about the run's reward, and an exit code.

    main(["--data", "my.json", "--rows", "20"])   # 0: the reward tells good answers from junk

The flags, the configuration, the data and the reward are the run's own; Ray, verl and the policy
are never touched.
"""

import asyncio
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rewards.part import CannotStart
from rewards.reward import Reward
from verlaunch.config.compose import compose, run_folder
from verlaunch.config.tree import Config
from verlaunch.errors import UserError, raise_all
from verlaunch.machine import hardware
from verlaunch.paths import as_typed
from verlaunch.plan.reward.trial.answers import KINDS
from verlaunch.plan.reward.trial.measure import Scored, measure
from verlaunch.plan.reward.trial.summary import Source, summarise
from verlaunch.text import filled, plural
from verlaunch.tools.score.bill import bill
from verlaunch.tools.score.flags import HELP, ROWS, parse
from verlaunch.tools.score.picture import draw
from verlaunch.tools.score.record import as_json, write_answers, write_numbers
from verlaunch.tools.score.show import WIDTH, lines
from verlaunch.tools.score.verdict import verdict
from verlaunch.tools.score.work import Asked, Work, prepare


def _read(words: Sequence[str]) -> tuple[Config, Asked] | None:
    """None when help was asked for."""
    request = parse(words, os.environ)
    if request.action == "help":
        return None
    config = compose(request, "gpu" if hardware.look().gpus else "cpu")
    values = request.values
    if "responses" in values and "data" in values:
        raise UserError("--data has no effect with --responses. Leave one of them out.")
    out = Path(values["out"]).expanduser() if "out" in values else run_folder(config) / "scores"
    numbers = Path(values["json"]).expanduser() if "json" in values else out / "scores.json"
    is_dry = request.action == "dry_run"
    rows, attack = values.get("rows", ROWS), values.get("attack", False)
    return config, Asked(values.get("responses"), rows, attack, out, numbers, is_dry)


def _plan(work: Work) -> Iterator[str]:
    questions = len({answer.question for answer in work.answers})
    cheap = sum(answer.kind not in KINDS for answer in work.answers)
    weights = ", ".join(f"{name} {weight:g}" for name, weight in work.spec.weights.items())
    yield (
        f"Scoring {plural(len(work.answers), 'answer')} to {plural(questions, 'question')} by "
        f"{weights}{f', {cheap} of them cheap ones' if cheap else ''}."
    )
    yield from bill(work.spec, work.answers, len(work.references))


def _note(note: str) -> None:
    print(filled(as_typed(f"note: {note}"), WIDTH, rest="  "))


def _check_writable(asked: Asked) -> None:
    """Before anything is scored, because a judge's answers cost. Raises UserError."""
    for folder in (asked.out, asked.json.parent):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise UserError(
                f"{folder} cannot be written ({error.strerror}). "
                "Name another folder with --out FOLDER."
            ) from None


def _write(asked: Asked, sources: Sequence[Source], reward: Reward, scored: list[Scored]) -> None:
    answers, picture = asked.out / "scores.jsonl", asked.out / "scores.png"
    picture.unlink(missing_ok=True)  # an earlier one would speak of another reward
    written = [picture] if draw(sources, picture) else []
    write_numbers(asked.json, as_json(sources, reward))
    write_answers(answers, reward.spec, scored)
    print("Wrote " + ", ".join(map(str, [*written, asked.json, answers])))


def _score(asked: Asked, work: Work) -> int:
    _check_writable(asked)
    try:
        reward, scored = asyncio.run(measure(work.spec, work.answers, work.references, tell=_note))
    except CannotStart as error:
        raise UserError(str(error)) from None
    # a user's function that is not there, or whose file breaks on import
    raise_all([f"{name}: {why['load']}" for name, why in reward.reasons.items() if "load" in why])
    sources = summarise(work.spec, scored)
    print("\n".join(["", *lines(sources, reward)]))
    if len(scored) < len(work.answers):
        print(f"Stopped after {len(scored)} of {plural(len(work.answers), 'answer')}.")
    _write(asked, sources, reward, scored)
    is_bad = any(found.level == "bad" for source in sources for found in verdict(source))
    return 1 if is_bad or reward.stop_reason() else 0


def main(words: Sequence[str]) -> int:
    read = _read(words)
    if read is None:
        print(as_typed(HELP), end="")
        return 0
    config, asked = read
    work = prepare(config, asked)
    print("\n".join(_plan(work)), flush=True)
    return 0 if asked.is_dry else _score(asked, work)
