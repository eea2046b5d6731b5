#!/usr/bin/env bash
# Everything that must hold before a change is merged: style, types, shell scripts, tests.
#
#   scripts/test.sh                          # all of it
#   scripts/test.sh --quick                  # for the edit loop: no test that takes many seconds
#   scripts/test.sh -m "not e2e"             # arguments go to pytest
#   scripts/test.sh tests/config/test_flags.py -x
#
# Sets .venv up as ./train.sh does, with the tools of locks/test.txt and Debian's chromium added.
set -euo pipefail

VERLAUNCH_ROOT=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
# shellcheck source=scripts/setup.sh
source "$VERLAUNCH_ROOT/scripts/setup.sh"

QUICK=''
if [[ ${1:-} == --quick ]]; then
  QUICK=" and not slow"
  shift
fi
choose_set "$@"
set_up "$HARDWARE_SET" test
# Without a browser the tests of report.html are skipped, with the reason.
command -v chromium google-chrome >/dev/null || system_package chromium "for the tests of the report"
command -v ip >/dev/null || system_package iproute2 "for the tests of several machines"
cd "$VERLAUNCH_ROOT"
PATH=$VENV/bin:$PATH

ruff check .
ruff format --check .
mypy
shellcheck --external-sources train.sh scripts/*.sh scripts/cluster/*.sh scripts/offline/*.sh scripts/setup/*.sh .ci/run
# pytest fails as well when it finds no test.
if (($#)); then
  exec python -m pytest ${QUICK:+-m "not e2e$QUICK"} "$@"
fi
# Two halves rather than turns: what a file has made for its tests is made once then.
python -m pytest -m "not e2e$QUICK" --numprocesses 2 --dist worksteal --durations=25
if [[ -z $QUICK ]]; then
  python -m pytest -m e2e --durations=25 # each run wants the machine for itself
fi
