#!/usr/bin/env bash
# Trains, or does what the first word says. The first start installs what is missing into .venv
# beside this file; then the launcher takes over.
#
#   ./train.sh                          # a GPU: Qwen2.5-0.5B on the sample data; none: the CPU demo
#   ./train.sh --model Qwen/Qwen2.5-1.5B --data my.json
#   ./train.sh score --data my.json     # a command: data, doctor, score, report, export, chat ...
#   ./train.sh --help
#
# --hardware cpu|gpu (or HARDWARE) chooses what is installed as well; PYTHON names the interpreter.
set -euo pipefail

VERLAUNCH_ROOT=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
# shellcheck source=scripts/setup.sh
source "$VERLAUNCH_ROOT/scripts/setup.sh"

export VERLAUNCH_START=$VERLAUNCH_ROOT/train.sh # what command.sh says to run again
choose_set "$@"
set_up "$HARDWARE_SET"
exec "$VENV/bin/verlaunch" "$@"
