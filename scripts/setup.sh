# shellcheck shell=bash
# Makes .venv from the locks, for train.sh and scripts/test.sh, which source this file.
#
#   VERLAUNCH_ROOT=/path/to/checkout; source "$VERLAUNCH_ROOT/scripts/setup.sh"
#   choose_set "$@"                # HARDWARE_SET is cpu or gpu
#   set_up "$HARDWARE_SET" test    # installs locks/cpu.txt or locks/gpu.txt, and locks/test.txt
#
# .venv/stamp is written last and says what was installed: only a complete install has one, and a
# start that finds there all that it wants does nothing more. .venv/begun says what an install that
# may have been interrupted was for. Every file is checked by the locks' hashes; pip's own settings
# (index, find-links, cache) apply untouched. What the machine must bring: scripts/setup/machine.sh;
# what pip and uv are told: scripts/setup/packages.sh.

VENV=$VERLAUNCH_ROOT/.venv
LOOKS='' # set for a start that will not train: --help, --dry_run, score
# shellcheck source=scripts/setup/machine.sh
source "$VERLAUNCH_ROOT/scripts/setup/machine.sh"
# shellcheck source=scripts/setup/packages.sh
source "$VERLAUNCH_ROOT/scripts/setup/packages.sh"
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '%s\n' "$@" >&2; }

fail() { # what the user can mend
  say "$@"
  exit 2
}

# Sets HARDWARE_SET: --hardware, else HARDWARE, else what is there. A set that is installed stays for
# those who only look or ask for a command beside training (score, export), and where no GPU answers:
# the launcher says so, without a download first.
# shellcheck disable=SC2034  # the scripts that source this file read it
choose_set() {
  local argument previous='' chosen=${HARDWARE:-} there=''
  case ${1:-train} in train | *[!a-z]*) ;; *) LOOKS=1 ;; esac
  for argument in "$@"; do
    if [[ $previous == --hardware ]]; then chosen=$argument; fi
    if [[ $argument == --hardware=* ]]; then chosen=${argument#*=}; fi
    case $argument in -h | --help | --version | --dry[_-]run* | --print[_-]config) LOOKS=1 ;; esac
    previous=$argument
  done
  case $chosen in
    cpu | gpu) HARDWARE_SET=$chosen ;;
    '') if gpu_answers; then HARDWARE_SET=gpu; else HARDWARE_SET=cpu; fi ;;
    *) fail "--hardware $chosen: allowed are cpu and gpu. Without it, nvidia-smi decides." ;;
  esac
  there=$(sed -n 's/^set //p' "$VENV/stamp" 2>/dev/null) || true
  if [[ $there && $there != "$HARDWARE_SET" ]]; then
    if [[ $LOOKS ]] || { [[ $HARDWARE_SET == gpu ]] && ! gpu_answers; }; then HARDWARE_SET=$there; fi
  fi
}

gpu_answers() {
  [[ ${CUDA_VISIBLE_DEVICES-all} ]] || return 1 # set and empty: the GPUs are hidden from us
  command -v nvidia-smi >/dev/null || return 1
  # nvidia-smi can take seconds; where the GPU set is installed it has answered before.
  [[ -r $VENV/stamp && $(<"$VENV/stamp") == *$'\nset gpu\n'* ]] ||
    [[ $(nvidia-smi -L 2>/dev/null) == GPU* ]]
}

# What the stamp must hold: `wanted PYTHON SET [test]`, where an empty PYTHON means any.
wanted() {
  local name locks=()
  for name in "${@:2}"; do locks+=("locks/$name.txt"); done
  printf '%s\n' "root $VERLAUNCH_ROOT" "set $2" ${1:+"python $1"}
  (cd "$VERLAUNCH_ROOT" && sha256sum pyproject.toml "${locks[@]}")
}

is_complete() { # is_complete PYTHON SET [test]
  local line have
  [[ -r $VENV/stamp && -x $VENV/bin/python && -x $VENV/bin/verlaunch ]] || return 1
  have=$'\n'$(<"$VENV/stamp")$'\n'
  while IFS= read -r line; do
    [[ $have == *$'\n'"$line"$'\n'* ]] || return 1
  done < <(wanted "$@")
}

python_path() { "$1" -c 'import os, sys; print(os.path.realpath(sys.executable))' 2>/dev/null; }

# Prints the first that says so of itself: PYTHON alone if set, else .venv's, else the usual names.
usual_python() { # usual_python EXPRESSION [NAMES...]
  local name names=("${PYTHON:-}")
  [[ ${PYTHON:-} ]] || names=("$VENV/bin/python" python3 python3.1{3,2,1,0,4})
  for name in "${@:2}" "${names[@]}"; do
    if "$name" -c "import sys; sys.exit(not ($1))" >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  return 1
}

# Prints the real path of a Python that the set runs on: PYTHON alone if set, else that of an install
# begun before, else the usual names in turn. The GPU set's cuda-tile has no build for 3.14.
find_python() { # find_python SET
  local name newest=14 why=''
  if [[ $1 == gpu ]]; then newest=13 why=" for GPUs (cuda-tile has no build for 3.14)"; fi
  if name=$(usual_python "(3, 10) <= sys.version_info[:2] <= (3, $newest)"); then
    "$name" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
      fail "$name cannot make virtual environments. Debian and Ubuntu: sudo apt install python3-venv." \
        "Without root, name another Python: PYTHON=/path/to/python3.12 ./train.sh"
    python_path "$name"
    return
  fi
  name=${PYTHON:-python3}
  fail "$name is $("$name" -V 2>/dev/null || echo 'not found'); verlaunch needs Python 3.10 to 3.$newest$why." \
    "Name one: PYTHON=/path/to/python3.12 ./train.sh. If there is none:" "  $(how_to_get_python)"
}

set_up() { # set_up SET [test]
  local python=''
  if [[ ${PYTHON:-} ]]; then python=$(find_python "$1"); fi
  if is_complete "$python" "$@"; then
    [[ $LOOKS || $1 != cpu ]] || need_numa
    return
  fi
  [[ $OSTYPE == linux* ]] || fail "verlaunch runs on Linux; this is $OSTYPE. A container works too: docs/containers.md"
  python=$(find_python "$1")
  mkdir -p "$VENV" || fail "Cannot write to $VERLAUNCH_ROOT. Clone the project to a folder of yours."
  ( # the lock goes with this subshell, never on to the training run
    flock --nonblock 9 || {
      say "Another start is installing; waiting for it."
      flock 9
    }
    is_complete "$python" "$@" || install "$python" "$@"
  ) 9>>"$VENV/lock"
}

install() { # install PYTHON SET [test]
  local python=$1 begun
  begun=$(printf '%s\n' "root $VERLAUNCH_ROOT" "set $2" "python $python")
  rm -f "$VENV/stamp"
  if [[ -r $VENV/begun && $(<"$VENV/begun") != "$begun" ]]; then
    say "Clearing .venv: it was made for other hardware, another Python or another folder."
    find "$VENV" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
  fi
  : >"$VENV/install.log"
  local -x TMPDIR=$VENV/tmp # pip unpacks there: /tmp may be small, and what a kill leaves goes below
  rm -rf "$TMPDIR"
  mkdir "$TMPDIR"
  enough_room "$2"
  tell_of_little_memory
  if [[ ! -r $VENV/begun || ! -x $VENV/bin/pip ]]; then
    logged "$python" -m venv "$VENV"
    printf '%s\n' "$begun" >"$VENV/begun"
  fi
  if [[ $2 == cpu ]]; then need_numa; fi
  case $2 in
    cpu) say "Installing the packages for the CPU into .venv: about 3 GB on disk, some minutes." ;;
    gpu) say "Installing the packages for GPUs into .venv: about 10 GB on disk, most of it CUDA." ;;
  esac
  drop_halves
  install_packages "${@:2}"
  rm -rf "$TMPDIR"
  wanted "$python" "${@:2}" >"$VENV/stamp.new"
  mv "$VENV/stamp.new" "$VENV/stamp"
  say "Installed."
}
