#!/usr/bin/env bash
# One name that mlflow does not take costs all the metrics that were logged with it.
#
# One would guess that log_metrics refuses the one bad name, or that a name which another tracker takes is
# taken. mlflow allows letters, digits and _ - . space : / in a name; with a single "@" or "(" among forty
# names, as of a pass@1 or a share (%), the call raises and nothing of the step is there afterwards.
#
# mlflow-skinny 3.15.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet mlflow-skinny==3.15.0 sqlalchemy alembic
cat >"$folder/log.py" <<'PY'
import sys

import mlflow
from mlflow.exceptions import MlflowException

mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/runs.db")
with mlflow.start_run() as run:
    for step, names in enumerate((["reward", "loss"], ["reward", "loss", "pass@1"])):
        try:
            mlflow.log_metrics(dict.fromkeys(names, 1.0), step=step)
            print(f"{names}: logged")
        except MlflowException as error:
            print(f"{names}: {error.error_code}")
history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "reward")
print("steps of reward:", [metric.step for metric in history])
PY
seen=$("$folder/env/bin/python" "$folder/log.py" "$folder" 2>"$folder/words") || { cat "$folder/words"; exit 1; }
echo "$seen"
expected="['reward', 'loss']: logged
['reward', 'loss', 'pass@1']: INVALID_PARAMETER_VALUE
steps of reward: [0]"
[[ $seen == "$expected" ]]
