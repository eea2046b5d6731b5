"""What has to be done in the trainer's process before and after verl's trackers (trackers.py).

    join(config, Path("outputs"))   # before verl's Tracking is made
    ...
    close(trainer)

mlflow takes a run only by an id that exists, trackio a run only from whoever began it, and neither
has a variable for "go on with it or begin it". A tracker that fails never ends a run.
"""

import logging
import os
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from verlaunch.record import wandb_files
from verlaunch.record.mlflow_names import Names
from verlaunch.record.trackers import FOLDER, chosen, run_id

logger = logging.getLogger(__name__)

TAG = "verlaunch.run"


def join(config: DictConfig, folder: Path) -> None:
    """Finds or begins this run with those trackers that cannot do it by their environment."""
    names = chosen(config.trainer.logger)
    try:
        if "mlflow" in names:
            _join_mlflow(config.trainer.project_name, config.trainer.experiment_name, folder)
        if "trackio" in names:
            _join_trackio(config)
        if "wandb" in names:
            wandb_files.cut(folder / FOLDER / "wandb", _last_step(config))
    except Exception:  # a server that is away; verl tries once more by itself, or does without
        logger.exception("a tracker could not be joined")


def _last_step(config: DictConfig) -> int:
    """Of the checkpoint that it goes on from, whose folder is global_step_40; 0: from the start."""
    found = re.fullmatch(r"global_step_(\d+)", Path(config.trainer.resume_from_path or "").name)
    return int(found[1]) if found else 0


def _join_mlflow(project: str, experiment: str, folder: Path) -> None:
    import mlflow

    mlflow.set_tracking_uri(os.environ["MLFLOW_TRACKING_URI"])
    if "MLFLOW_RUN_ID" not in os.environ:
        os.environ["MLFLOW_RUN_ID"] = _mlflow_run(project, experiment, folder)
    _log_new_params_only()
    _log_every_name()


def _log_every_name() -> None:
    """verl's own way leaves names that mlflow refuses with their whole step, and makes two one."""
    from verl.utils import tracking

    names = Names()
    tracking._MlflowLoggingAdapter._sanitize_key = lambda adapter, key: names(key)


def _mlflow_run(project: str, experiment: str, folder: Path) -> str:
    """The run with our tag, made when there is none."""
    import mlflow

    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(project)
    if found is None:
        uri = os.environ["MLFLOW_TRACKING_URI"]
        # A local store would put artifacts where the user stands.
        artifacts = (folder / FOLDER / "mlflow").as_uri() if uri.startswith("sqlite:") else None
        experiment_id = client.create_experiment(project, artifact_location=artifacts)
    else:
        experiment_id = found.experiment_id
    run = run_id(folder)
    runs = client.search_runs([experiment_id], f"tags.`{TAG}` = '{run}'")
    if runs:
        return runs[0].info.run_id
    return client.create_run(experiment_id, run_name=experiment, tags={TAG: run}).info.run_id


def _log_new_params_only() -> None:
    """mlflow refuses a parameter with another value, a resumed run has some (the checkpoint that it
    continues), and verl then does without mlflow (tracking.py:119). The first value is kept."""
    import mlflow

    log_params = mlflow.log_params

    def log_new(params: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        known = mlflow.get_run(mlflow.active_run().info.run_id).data.params
        new = {key: value for key, value in params.items() if key not in known}
        return log_params(new, *args, **kwargs)

    mlflow.log_params = log_new


def _join_trackio(config: DictConfig) -> None:
    """verl begins a run of the same name anew unless one is under way (tracking.py:92)."""
    import trackio

    plain = OmegaConf.to_container(config, resolve=True)
    trainer = config.trainer
    trackio.init(trainer.project_name, trainer.experiment_name, config=plain, resume="allow")


def close(trainer: Any) -> None:
    """Before Ray ends the process: a tracker's last lines may still be in its memory."""
    try:
        if hasattr(trainer, "logger"):
            trainer.logger.finish()
    except Exception:
        logger.exception("a tracker could not be closed")
