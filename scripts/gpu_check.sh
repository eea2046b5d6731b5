#!/usr/bin/env bash
# Does training work on this machine's GPU, how fast, and in how much memory? Under 8 minutes, without
# a network; one table at the end, and exit code 0 only when every part passed.
#
#   scripts/gpu_check.sh
#   scripts/gpu_check.sh --only demo,resume
#   scripts/gpu_check.sh --json gpu.json --output_dir /data/check
#   scripts/gpu_check.sh --hardware cpu     # the same code with tiny shapes, without a GPU
#
# Ctrl-C and SIGTERM end what it has started. It installs nothing: .venv has to be there.
set -euo pipefail

root=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
python=$root/.venv/bin/python
if [[ ! -x $python ]]; then
  echo "error: $python is not there. Make it: ./train.sh --version" >&2
  exit 2
fi
exec "$python" "$root/scripts/gpu_check" "$@"
