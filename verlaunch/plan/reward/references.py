"""Rows for an affine scale: prompts with their reference answers as the responses.

    spec, references = settle(spec, config, Path("outputs"), rows)

A reward model's numbers are centred anywhere and of any spread; those of known good answers say
where and how wide. Where the data has too few of them, a model whose scale nobody named takes the
mean and deviation of the responses so far ("running"). Left out on purpose: the arithmetic
(rewards/scale.py).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rewards.part import Row
from rewards.reward import FEWEST_REFERENCES
from rewards.spec import RewardSpec, RuleSpec
from verlaunch.config.tree import Config
from verlaunch.errors import UserError
from verlaunch.plan.reward.checks import counts, runs_programs
from verlaunch.plan.reward.spec import reward_spec
from verlaunch.plan.reward.trial.few import few

MOST = 64


def _answered(spec: RewardSpec, rows: Iterable[Row]) -> list[Row]:
    """Rows that an affine part scores, where the ground truth is an answer and no unit test."""
    affine = [part.name for part in spec.parts if part.scale == "affine"]
    good = [
        replace(row, response=row.ground_truth)
        for row in rows
        if isinstance(row.ground_truth, str)
        and row.ground_truth.strip()
        and any(counts(spec, name, row.data_source) for name in affine)
        and not runs_programs(RuleSpec(), row.data_source)
    ]
    return few(good, MOST)


def settle(
    spec: RewardSpec, config: Config, folder: Path, rows: Sequence[Row]
) -> tuple[RewardSpec, list[Row]]:
    """The run's reward, with every scale decided, and the references that it needs.

    Where they are too few, flags and files are asked again: which scales they have left open.
    Raises UserError when affine was asked for and there is too little to take it from.
    """
    if all(part.scale != "affine" for part in spec.parts):
        return spec, []
    references = _answered(spec, rows)
    if len(references) >= FEWEST_REFERENCES:
        return spec, references
    spec = reward_spec(config, folder, has_references=False)
    asked = [part.name for part in spec.parts if part.scale == "affine"]
    if asked:
        raise UserError(
            f"The affine scale of {' and '.join(asked)} takes its mean and deviation from at least "
            f"{FEWEST_REFERENCES} rows with a reference answer, and {len(references)} of the first "
            f"{len(rows)} have one. Use running, sigmoid or none: --rm_scale running."
        )
    return spec, []
