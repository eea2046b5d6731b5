# shellcheck shell=bash
# Makes .venv from the locks, for train.sh and scripts/test.sh, which source this file.
#
#   VERLAUNCH_ROOT=/path/to/checkout; source "$VERLAUNCH_ROOT/scripts/setup.sh"
#   choose_set "$@"                # HARDWARE_SET is cpu or gpu
#   set_up "$HARDWARE_SET" test    # installs locks/cpu.txt or locks/gpu.txt, and locks/test.txt
#
# .venv/stamp is written last and says what was installed: only a complete install has one, and a
# start that finds there all that it wants does nothing more. .venv/begun says what an install that
# may have been interrupted was for. pip's own settings (index, find-links, cache) apply untouched.
# On purpose no other installer is used: pip comes with Python, and mirrors are set up for it.

VENV=$VERLAUNCH_ROOT/.venv
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
  local argument previous='' chosen=${HARDWARE:-} looks='' there=''
  case ${1:-train} in train | *[!a-z]*) ;; *) looks=1 ;; esac
  for argument in "$@"; do
    if [[ $previous == --hardware ]]; then chosen=$argument; fi
    if [[ $argument == --hardware=* ]]; then chosen=${argument#*=}; fi
    case $argument in -h | --help | --version | --dry[_-]run* | --print[_-]config) looks=1 ;; esac
    previous=$argument
  done
  case $chosen in
    cpu | gpu) HARDWARE_SET=$chosen ;;
    '') if gpu_answers; then HARDWARE_SET=gpu; else HARDWARE_SET=cpu; fi ;;
    *) fail "--hardware $chosen: allowed are cpu and gpu. Without it, nvidia-smi decides." ;;
  esac
  there=$(sed -n 's/^set //p' "$VENV/stamp" 2>/dev/null) || true
  if [[ $there && $there != "$HARDWARE_SET" ]]; then
    if [[ $looks ]] || { [[ $HARDWARE_SET == gpu ]] && ! gpu_answers; }; then HARDWARE_SET=$there; fi
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
  [[ ${PYTHON:-} ]] || names=("$VENV/bin/python" python3 python3.12 python3.11 python3.10)
  for name in "${@:2}" "${names[@]}"; do
    if "$name" -c "import sys; sys.exit(not ($1))" >/dev/null 2>&1; then
      echo "$name"
      return
    fi
  done
  return 1
}

# Prints the real path of a Python 3.10 to 3.12: PYTHON alone if set, else that of an install begun
# before, else the usual names in turn.
find_python() {
  local name
  if name=$(usual_python '(3, 10) <= sys.version_info[:2] <= (3, 12)'); then
    "$name" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
      fail "$name cannot make virtual environments. Debian and Ubuntu: apt install python3-venv"
    python_path "$name"
    return
  fi
  name=${PYTHON:-python3}
  fail "$name is $("$name" -V 2>/dev/null || echo 'not found'); needed is Python 3.10, 3.11 or 3.12." \
    "Name one: PYTHON=/path/to/python3.11 ./train.sh"
}

set_up() { # set_up SET [test]
  local python=''
  if [[ ${PYTHON:-} ]]; then python=$(find_python); fi
  if is_complete "$python" "$@"; then return; fi
  [[ $OSTYPE == linux* ]] || fail "The locks are for Linux; this is $OSTYPE."
  python=$(find_python)
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
    say "Clearing .venv: it was made for another set, Python or folder."
    find "$VENV" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} +
  fi
  : >"$VENV/install.log"
  case $2 in
    cpu) say "Installing the CPU set into .venv: about 3 GB on disk, minutes the first time." ;;
    gpu) say "Installing the GPU set into .venv: many GB on disk, most of it CUDA libraries." ;;
  esac
  if [[ ! -r $VENV/begun || ! -x $VENV/bin/pip ]]; then
    logged "$python" -m venv "$VENV"
    printf '%s\n' "$begun" >"$VENV/begun"
  fi
  drop_halves
  install_packages "${@:2}"
  if [[ $2 == cpu ]]; then system_libraries libnuma.so.1 libnuma1; fi
  wanted "$python" "${@:2}" >"$VENV/stamp.new"
  mv "$VENV/stamp.new" "$VENV/stamp"
  say "Installed."
}

# pip takes a package for installed when its *.dist-info is there. It writes INSTALLER after the
# package's files, so a folder without it is what a killed pip left in the middle.
drop_halves() {
  local folder
  for folder in "$VENV"/lib/python3*/site-packages/*.dist-info; do
    [[ -e $folder/INSTALLER ]] || rm -rf "$folder"
  done
}

# --no-deps: the locks are complete, and some packages ask for others that must not be there
# (locks/cpu-overrides.txt).
install_packages() { # install_packages SET [test]
  local name pip=("$VENV/bin/python" -m pip install --no-deps --progress-bar off) locks=()
  for name in "$@"; do locks+=(-r "$VERLAUNCH_ROOT/locks/$name.txt"); done
  logged "${pip[@]}" "${locks[@]}"
  logged "${pip[@]}" --no-build-isolation -e "$VERLAUNCH_ROOT"
  if [[ $1 == cpu ]]; then mend_torch; fi
}

# An index without CPU builds of torch gives the CUDA build; that cannot be imported without its
# libraries, so they are installed too.
mend_torch() {
  local lock=$VERLAUNCH_ROOT/locks/cpu.txt torch
  torch=$(sed -n 's/^\(torch==[^ ;]*\).*/\1/p' "$lock")
  if [[ -z $torch ]] || "$VENV/bin/python" -c 'import torch' >>"$VENV/install.log" 2>&1; then
    return
  fi
  say "The package index has only the CUDA build of $torch: adding the gigabytes that it needs." \
    "To avoid that: rm -r .venv, set PIP_EXTRA_INDEX_URL to PyTorch's CPU index, and start again."
  logged "$VENV/bin/python" -m pip install --progress-bar off -c "$lock" "$torch"
  logged "$VENV/bin/python" -c 'import torch'
}

# Installs a package of the system, where that is allowed; whether it is there now is asked elsewhere.
system_package() { # system_package PACKAGE WHY
  local root=()
  if ((EUID)); then root=(sudo -n); fi
  if command -v apt-get >/dev/null && "${root[@]}" true 2>/dev/null; then
    say "Installing $1, $2."
    "${root[@]}" apt-get update >>"$VENV/install.log" 2>&1 || true
    DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y --no-install-recommends "$1" \
      >>"$VENV/install.log" 2>&1 || true
  fi
}

# vLLM's CPU build loads libnuma.so.1, the one library that it needs from the system. With no right to
# install it, the message says what to type.
system_libraries() { # system_libraries LIBRARY PACKAGE
  "$VENV/bin/python" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null && return
  system_package "$2" "which vLLM needs"
  "$VENV/bin/python" -c "import ctypes; ctypes.CDLL('$1')" 2>/dev/null ||
    fail "$1 is missing. Debian and Ubuntu: sudo apt install $2. Then start again."
}

# Runs a command with its output in the log and a short account of it on the screen.
logged() { told "$VENV/install.log" "Installing" "The next start continues from here." "$@"; }

told() { # told LOG DOING WAY_ON COMMAND...
  printf '+ %s\n' "${*:4}" >>"$1"
  PYTHONUNBUFFERED=1 "${@:4}" 2>&1 | tee -a "$1" | progress && return
  say "$2 failed. The end of $1:" ""
  tail -n 15 "$1" >&2
  say "" "$3 Mirrors are set as for pip: PIP_INDEX_URL, PIP_FIND_LINKS."
  exit 1
}

# Reads pip's output. A terminal gets a counter in place, a file a line per 50 packages.
progress() {
  local line count=0
  while IFS= read -r line; do
    case $line in
      Collecting\ *) line=${line#Collecting } line="  $((count += 1)): ${line%% *}" ;;
      Installing\ collected*) ((count)) || continue; line="  unpacking $count packages" count=0 ;;
      *) continue ;;
    esac
    if [[ -t 2 ]]; then
      printf '\r\e[K%.76s' "$line" >&2
    elif ((count % 50 == 0)); then
      say "$line"
    fi
  done
  if [[ -t 2 ]]; then printf '\r\e[K' >&2; fi
}
