"""What a run needs before anything starts: its model, its data, and a reward that fits them.

    ready = prepare(outlook)                      # downloads, tokenizes; writes to caches only
    ready.plan.steps.total                        # of rows that have all been counted

Left out on purpose: the run's own folder, which gets its files when nothing is left to check.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rewards.part import Row
from rewards.spec import RewardSpec
from verlaunch.config.tree import Config, uses_critic
from verlaunch.errors import raise_all
from verlaunch.inputs.choice import CRITIC, MODEL, TEMPLATE, data_identity
from verlaunch.inputs.data.prepare import Prepared
from verlaunch.plan.foresight import counted
from verlaunch.plan.outlook import Outlook
from verlaunch.plan.reward.references import settle
from verlaunch.plan.reward.same_reward import identity as reward_identity
from verlaunch.plan.reward.same_reward import scales
from verlaunch.plan.reward.trial.rows import prepared_rows
from verlaunch.plan.sizes import Plan
from verlaunch.record.identity import check_identity


@dataclass(frozen=True)
class Ready:
    """outlook, plan: of rows that are all counted. spec: with every scale decided, by `references`.

    rows: the first of the training data. identity: whose run the folder will hold.
    """

    outlook: Outlook
    plan: Plan
    spec: RewardSpec
    model_folder: Path
    prepared: Prepared
    rows: Sequence[Row]
    references: Sequence[Row]
    identity: dict[str, Any]

    @property
    def config(self) -> Config:
        return self.outlook.config

    @cached_property
    def critic_folder(self) -> Path:
        return self.outlook.asked.inputs.critic_folder(self.model_folder)

    def models(self) -> dict[str, Path]:
        """What every machine reads."""
        critic = {"critic": self.critic_folder} if uses_critic(self.config.verl) else {}
        return {"model": self.model_folder, **critic}

    def files(self) -> dict[str, Any]:
        """What verl reads from disk, as absolute paths."""
        return {
            MODEL: str(self.model_folder),
            TEMPLATE: self.outlook.asked.inputs.template(self.model_folder),
            CRITIC: str(self.critic_folder),
            "data.train_files": str(self.prepared.train_file),
            "data.val_files": str(self.prepared.val_file),
        }


def prepare(outlook: Outlook) -> Ready:
    """`outlook`: without problems. Raises UserError for what only the whole data shows."""
    asked, inputs = outlook.asked, outlook.asked.inputs
    assert outlook.sources is not None and outlook.spec is not None
    model_folder = inputs.model_folder()
    prepared = inputs.prepare(model_folder, outlook.sources)
    rows = list(prepared_rows(prepared.train_file))
    spec, references = settle(outlook.spec, asked.config, asked.folder, rows)
    identity = {
        **inputs.identity(),
        "data": data_identity(outlook.sources, prepared),
        "reward": reward_identity(spec),
        "reward scale": scales(spec),
    }
    if asked.launch["resume"] != "never":
        check_identity(asked.folder, identity)
    exact = counted(outlook, prepared, spec)
    raise_all(exact.problems)
    assert exact.plan is not None
    return Ready(exact, exact.plan, spec, model_folder, prepared, rows, references, identity)
