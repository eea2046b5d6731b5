"""The page of a dry run: the plan as every start shows it, then its details, then what to type.

    print(page(outlook))

A person reads it in a screen or two; what concerns programs, and verl's hundred settings, is in the
JSON (document.py). Left out on purpose: problems, which stand alone where there are any.
"""

import shlex
from collections.abc import Iterator, Sequence

from verlaunch.config.compose import differences
from verlaunch.config.keys import yaml_word
from verlaunch.config.tree import Config, ranks
from verlaunch.machine.scrub import without_logins
from verlaunch.plan import nodes, sentences
from verlaunch.plan import rows as brief
from verlaunch.plan.memory.rows import rows as memory_rows
from verlaunch.plan.outlook import Outlook
from verlaunch.plan.reward.trial.trial import Trial
from verlaunch.plan.roles import roles
from verlaunch.plan.sizes import Steps
from verlaunch.text import Rows, plural, row

ASSUMED = ("__assume_gpus", "__assume_memory")
NOT_OF_A_START = ("__dry_run", *ASSUMED)
FORMS = ("text", "json", "true", "yes", "on", "1")  # what may stand behind it
DETAILED = ("roles", "memory")  # rows of a start that have a section of their own here
VERL = "python -m verl.trainer.main_ppo"


def to_start(typed: Sequence[str]) -> tuple[str, ...]:
    """The same words without --dry_run and --assume_*: what starts the run, on such a machine.
    Passwords in addresses are hidden."""
    kept: list[str] = []
    flag = ""
    for word in typed:
        behind, was = not word.startswith("--"), flag
        name, equals, _ = word.replace("-", "_").partition("=")
        flag = "" if equals else name
        if name in NOT_OF_A_START or (was in ASSUMED and behind):
            continue
        if not (was == NOT_OF_A_START[0] and word.lower() in FORMS):
            kept.append(without_logins(word))
    return tuple(kept)


def page(outlook: Outlook, verbose: bool = False) -> str:
    """`outlook`: with a plan. `verbose`: with the settings of verl that differ, as its command."""
    shown = tuple(pair for pair in brief.rows(outlook) if pair[0] not in DETAILED)
    if outlook.prompt is not None:
        shown += (("a prompt", repr(outlook.prompt[: sentences.SHOWN])),)
    sections = [
        ("This would run:", shown),
        ("Roles:", _roles(outlook)),
        ("Nodes:", nodes.rows(outlook.config, outlook.spec, outlook.addresses)),
        ("Work:", _work(outlook)),
        ("Rewards, tried:", _tried(outlook.trial)),
        (_memory_title(outlook), memory_rows(outlook.memory) if outlook.memory else ()),
    ]
    lines = [
        line
        for title, rows in sections
        if rows
        for line in ["", title, *(row(*pair) for pair in rows)]
    ]
    return "\n".join([*lines[1:], "", *_ending(outlook, verbose)])


def _roles(outlook: Outlook) -> Rows:
    return tuple((role.name, role.says) for role in roles(outlook.config, outlook.spec))


def _memory_title(outlook: Outlook) -> str:
    of_each = "; main memory and /dev/shm of each node" if outlook.place else ""
    return f"Memory, expected{of_each}:"


def _work(outlook: Outlook) -> Rows:
    assert outlook.plan is not None
    plan = outlook.plan
    return (
        ("steps", _steps(plan.steps)),
        ("responses", f"{plan.steps.total * plan.batch.sequences:,} to train on"),
        ("processes", f"{plan.processes} beside Ray's own"),
    )


def _steps(steps: Steps) -> str:
    most = "" if steps.exact else "at most "
    return (
        f"{plural(steps.total, 'step')} in {most}{plural(steps.epochs, 'epoch')}, with "
        f"{plural(steps.validations, 'validation')} and {plural(steps.checkpoints, 'checkpoint')}"
    )


def _tried(found: Trial | None) -> Rows:
    if found is None:
        return ()
    asked = [(name, "asked, and answers") for name in found.asked]
    return (*sentences.tried(found), *asked, *(("later", said) for said in found.later))


def differing(config: Config) -> list[str]:
    """verl's keys that this run sets otherwise than verl itself, as `key=value` lines."""
    return [f"{key}={yaml_word(ours)}" for key, (_, ours) in differences(config).items()]


def _ending(outlook: Outlook, verbose: bool) -> Iterator[str]:
    """What deserves a look, and what to type: last, where it is seen."""
    for warning in outlook.warnings:
        yield row("warning", warning)
    for note in outlook.config.notes:
        yield row("note", note)
    yield from sentences.resuming(outlook.resume, ranks(outlook.config.verl))
    settings = differing(outlook.config)
    if verbose:
        yield f"\nIn verl's own words, beside the engine of ours:\n  {VERL} \\"
        yield " \\\n".join(f"    {shlex.quote(setting)}" for setting in settings)
        yield ""
    else:
        said = f"{len(settings)} settings differ from verl's own: add --verbose to see them."
        yield row("verl", said)
    yield row("start it", shlex.join(to_start(outlook.asked.words)))
