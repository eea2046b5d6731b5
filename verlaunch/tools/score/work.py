"""What there is to score: the run's reward as it can run here, rows, and their answers.

    work = prepare(config, Asked(responses=None, rows=50, ...))
    work.spec, work.answers

Left out on purpose: what costs; nothing is loaded and nobody is asked.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rewards.part import Row
from rewards.spec import ModelSpec, PartSpec, RewardSpec
from verlaunch.config.compose import run_folder
from verlaunch.config.tree import Config, get
from verlaunch.errors import raise_all, stopping
from verlaunch.inputs.choice import Inputs
from verlaunch.plan import guards
from verlaunch.plan.reward.checks import program_sources
from verlaunch.plan.reward.references import settle
from verlaunch.plan.reward.spec import reward_spec
from verlaunch.plan.reward.trial.answers import Answer, answers_to
from verlaunch.plan.reward.trial.attack import attacks
from verlaunch.plan.reward.trial.rows import rows_of
from verlaunch.tools.score.responses import read_responses

REFERENCES = 64  # rows that an affine scale takes its constants from, as in a run


@dataclass(frozen=True)
class Asked:
    """What the user asked for, beside the run's configuration."""

    responses: Any
    rows: int
    attack: bool
    out: Path
    json: Path
    is_dry: bool


@dataclass(frozen=True)
class Work:
    """references: rows whose response is the reference answer; empty unless a scale needs them."""

    spec: RewardSpec
    answers: list[Answer]
    references: list[Row]


def _in_this_process(part: PartSpec) -> PartSpec:
    """vLLM takes a card, or minutes to start; transformers gives the same scores."""
    source = part.source
    if not isinstance(source, ModelSpec):
        return part
    backend = "transformers" if source.backend == "auto" else source.backend
    return replace(part, source=replace(source, backend=backend, gpus=0))


def _rows(config: Config, asked: Asked) -> tuple[list[Row], list[float | None] | None, list[Row]]:
    """Rows to score, the scores in the file of responses, and rows for an affine scale."""
    seed = get(config.verl, "data.seed")
    if asked.responses:
        label = config.launch["data_source"]
        rows, told = read_responses(asked.responses, label, asked.rows, seed)
        return rows, told, rows
    data = Inputs(config).sources().train
    return rows_of(data, asked.rows, seed), None, rows_of(data, REFERENCES, seed)


def prepare(config: Config, asked: Asked) -> Work:
    """Raises UserError."""
    rows, told, known = _rows(config, asked)
    folder = run_folder(config)
    spec, references = settle(reward_spec(config, folder), config, folder, known)
    found = guards.findings(guards.REWARD, spec, [row.data_source for row in rows])
    raise_all(stopping(found))
    spec = replace(spec, parts=tuple(_in_this_process(part) for part in spec.parts))
    programs = program_sources(spec, {row.data_source for row in rows})
    answers = list(answers_to(rows, told, programs))
    if asked.attack:  # every number and letter is a call each: not where a call has a price
        answers += attacks(rows, programs, families=spec.is_local)
    return Work(spec, answers, references)
