#!/usr/bin/env bash
# Two runs of verl on one machine, each with a Ray cluster of its own, hand their weights over by one socket.
#
# One would guess that the name of the socket between a trainer and the vLLM beside it is the run's own: verl
# puts Ray's job id into it for just that. But the first job of every Ray cluster is 01000000, and a run that
# starts its own cluster is the first. Replica 0 and rank 0 are there in every run too. The sender removes the file and binds it anew for each update, so that of two runs
# either's vLLM may read what the other's trainer sends: seen as an error of shapes with two models, and
# without a word where the models are of one family.
#
# verl 0.9.1 and ray 2.60.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --no-deps --ignore-requires-python verl==0.9.1
"$folder/venv/bin/pip" install --quiet ray==2.60.0
cat >"$folder/job.py" <<'PY'
import sys

import ray

ray.init(address="local", num_cpus=1, include_dashboard=False, _temp_dir=sys.argv[1], log_to_driver=False)
print(ray.get_runtime_context().get_job_id())
PY
short=$(mktemp -d /tmp/r-XXXX) # sockets have short paths
trap 'rm -rf "$folder" "$short"' EXIT
first=$("$folder/venv/bin/python" "$folder/job.py" "$short/a" 2>"$folder/words")
second=$("$folder/venv/bin/python" "$folder/job.py" "$short/b" 2>>"$folder/words")
echo "jobs of two clusters: $first $second"
file=$(find "$folder/venv" -path '*vllm_rollout/vllm_rollout.py')
name=$(grep -o 'rl-colocate-zmq-{[^"]*' "$file")
echo "the socket's name: $name"
[[ $first == 01000000 && $second == "$first" ]]
[[ $name == 'rl-colocate-zmq-{job_id}-replica-{self.replica_rank}-rank-{local_rank}.sock' ]]
