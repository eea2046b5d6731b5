"""What the launcher says around the plan: the data, the rewards, the demo, the end.

    print(row("data", prepared_data(prepared)))

Left out on purpose: problems, which are told where they are found, and the live line (screen.py).
"""

from collections.abc import Iterator
from pathlib import Path

from verlaunch.inputs.data.look import Look
from verlaunch.inputs.data.prepare import Prepared
from verlaunch.paths import sample
from verlaunch.plan.reward.trial.answers import EMPTY, IDLE, REFERENCE, RUBBISH
from verlaunch.plan.reward.trial.remark import NAMES
from verlaunch.plan.reward.trial.trial import Trial
from verlaunch.record.checkpoints.manifest import Checkpoint
from verlaunch.record.checkpoints.resume import Resume
from verlaunch.text import plural, row

SHOWN = 200  # characters of the example prompt
ANSWER_SHOWN = 40  # characters of a reference answer

DEMO = """\
No GPU, no --model, no --data: this is the CPU demo. It makes a tiny model,
teaches it half of single-digit addition, and lets PPO (verl, Ray, vLLM, FSDP2)
do the rest.
"""
AFTER_DEMO = """\
Next:
  ./train.sh --model FOLDER_OR_HUB_ID --data {sample}  # a model of yours
  ./train.sh --model FOLDER_OR_HUB_ID --data my.json --dry_run  # look first
  ./train.sh --help  # everything else"""


def looked_data(look: Look, rows: int) -> str:
    if not look.looked_at:
        return "; ".join(look.notes)
    least = "" if look.exact else "at least "
    kinds = _counts(look.data_sources)
    return f"{least}{plural(rows, 'training prompt')} ({kinds}){_dropped(look.dropped)}"


def prepared_data(prepared: Prepared) -> str:
    return (
        f"{prepared.train_rows} training and {plural(prepared.val_rows, 'validation prompt')} of "
        f"{plural(prepared.read, 'row')} read ({_counts(prepared.data_sources)}); longest "
        f"{plural(prepared.longest_prompt, 'token')}{_dropped(prepared.dropped)}"
    )


def _counts(kinds: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in kinds.items())


def _dropped(counts: dict[str, int]) -> str:
    left_out = [f"{count} {reason}" for reason, count in counts.items() if count]
    return f"; left out: {', '.join(left_out)}" if left_out else ""


def tried(trial: Trial) -> Iterator[tuple[str, str]]:
    """How the reward judges known answers, by data_source."""
    for name, means in trial.means.items():
        answer = " ".join(trial.references[name].split())
        cut = "..." * (len(answer) > ANSWER_SHOWN)
        first = f"the reference answer ({answer[:ANSWER_SHOWN]!r}{cut}) scores"
        said = {first: REFERENCE, NAMES[RUBBISH]: RUBBISH, NAMES[EMPTY]: EMPTY, NAMES[IDLE]: IDLE}
        scores = [f"{who} {means[kind]:.2f}" for who, kind in said.items() if kind in means]
        yield "reward", f"{name}: {', '.join(scores)}"


def about_inputs(prepared: Prepared, trial: Trial) -> Iterator[str]:
    """Lines below the plan: how the reward judges known responses, notes, one rendered prompt."""
    for pair in tried(trial):
        yield row(*pair)
    for note in (*prepared.notes, *trial.notes):
        yield row("note", note)
    yield row("a prompt", repr(prepared.example_prompt[:SHOWN]))


def resuming(resume: Resume, ranks: int) -> Iterator[str]:
    """Lines: what was passed over and why, and where the run goes on."""
    for note in resume.notes:
        yield row("resume", note)
    if found := resume.checkpoint:
        yield f"  continuing from step {found.step} ({found.path})"
        if found.ranks != ranks:
            yield f"  saved by {plural(found.ranks, 'rank')}: its shards are cut anew for {ranks}"


def complete(resume: Checkpoint, total_steps: int) -> str:
    return (
        f"This run is complete: step {resume.step} of {total_steps} is saved. "
        "Go on with more --steps or --epochs, or start another with --run_name NAME."
    )


def done(folder: Path, is_demo: bool) -> str:
    text = f"Done. Checkpoints and the final model: {folder / 'checkpoints'}"
    return f"{text}\n{AFTER_DEMO.format(sample=sample())}" if is_demo else text
