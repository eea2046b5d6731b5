"""Two steps of a run for verl's Tracking, as the trainer goes about it: a start of the process.

    python tests/tracked_child.py FOLDER FIRST_STEP tensorboard,wandb

verl's file is loaded alone, since `import verl` brings much more.
"""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

from omegaconf import OmegaConf

from verlaunch.engine.training import tracking
from verlaunch.record import trackers


def verls_tracking() -> ModuleType:
    package = importlib.util.find_spec("verl")
    assert package is not None and package.origin is not None
    file = Path(package.origin).parent / "utils" / "tracking.py"
    spec = importlib.util.spec_from_file_location("verls_tracking", file)
    assert spec is not None and spec.loader is not None
    module = sys.modules["verls_tracking"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main(folder: Path, first: int, names: list[str]) -> None:
    os.environ.update(trackers.environment(names, folder, trackers.run_id(folder), os.environ))
    plain = {"trainer": {"logger": names, "project_name": "verlaunch", "experiment_name": "demo",
                         "resume_from_path": f"global_step_{first - 1}"}}  # fmt: skip
    tracking.join(OmegaConf.create(plain), folder)
    tracker = verls_tracking().Tracking("verlaunch", "demo", names, plain)
    for step in (first, first + 1):
        tracker.log({"critic/score/mean": 0.1 * step, "val-core/math/mean@1": 0.5}, step)
    tracking.close(SimpleNamespace(logger=tracker))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(","))
