"""The demo learns; and a run whose launcher is killed goes on by the same command.

The demo is killed once its checkpoint is complete and validated, so that one start serves both: the
part `demo` reads its scores, the part `resume` starts it again.
"""

from pathlib import Path
from typing import Any

from gpu_check import words
from gpu_check.check import Check, Failure, Found
from gpu_check.runs import launched
from verlaunch.record.channel import METRICS, Tail

SCORE = "val-core/math_reasoning/reward/mean@1"
RISE = 0.15  # of 1; the demo's model is right about half the time
CONTINUES = "continuing from step {}"


def scores(folder: Path) -> dict[int, float]:
    """Share of right answers by step, of each validation."""
    lines: list[dict[str, Any]] = list(Tail(folder / METRICS).new())
    return {line["step"]: line[SCORE] for line in lines if line.get(SCORE) is not None}


def _killed(check: Check) -> dict[int, float]:
    folder, step = check.run_folder("demo"), check.profile.demo[2]
    whole = folder / "checkpoints" / f"global_step_{step}" / "complete.json"
    with launched(check, "demo", words.demo(check)) as run:
        run.wait_for(
            lambda: whole.is_file() and step in scores(folder),
            f"checkpoint and validation of step {step}",
        )
        run.kill()
    return scores(folder)


def killed(check: Check) -> dict[int, float]:
    """The scores of the demo until it is killed."""
    return check.kept("demo, killed", lambda: _killed(check))


def learns(check: Check) -> Found:
    found, step = killed(check), check.profile.demo[2]
    before, after = found[0], found[step]
    said = f"{before:.2f} -> {after:.2f} of the sums right in {step} steps"
    if after < before + RISE:
        raise Failure(f"{said}; expected at least {before + RISE:.2f}")
    return Found(said, {"before": before, "after": after, "steps": step})


def resumes(check: Check) -> Found:
    killed(check)
    _, total, step = check.profile.demo
    with launched(check, "demo", words.demo(check)) as run:
        run.finish()
        said = run.log.read_text(errors="replace")
    if CONTINUES.format(step) not in said:
        raise Failure(f"the second start did not continue from step {step} ({run.log})")
    taken = [line["step"] for line in Tail(run.metrics).new()]
    if taken != list(range(total + 1)):
        raise Failure(f"steps {taken} are in the record, expected 0 to {total} once each")
    return Found(
        f"SIGKILL after step {step}, the same command went on to {total}",
        {"killed_after": step, "steps": total},
    )
