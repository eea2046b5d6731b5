#!/usr/bin/env bash
# Takes the locked packages to a machine with no network: downloaded on one, installed on another.
#
#   scripts/offline_bundle.sh make DIR [--hardware gpu|cpu] [--python 3.10|...|3.14] [--minimal]
#                                      [--have FILE] [--piece_mib N] [--glibc 2.31]
#   scripts/offline_bundle.sh install DIR [--python_exe PYTHON | --target FOLDER]
#   scripts/offline_bundle.sh verify DIR
#
# make      downloads what locks/gpu.txt (or cpu.txt) names for Linux x86-64 and that Python.
#   --minimal     leaves out what text-only training never imports: scripts/offline/text_only.txt
#   --have FILE   leaves out what the target has: python3 -m pip list --format=freeze >FILE there
#   --piece_mib N cuts all into DIR/part-001, part-002, ... of at most N MiB
#   --glibc       the oldest C library that it must run on (ldd --version); 2.31 is Ubuntu 20.04
# install   verifies, joins, and makes .venv as ./train.sh would, which then downloads nothing. What
#           is there in a good version stays. PYTHON names the interpreter; of a bundle made with
#           --have it is the one that has those packages, and .venv is laid over it.
#   --python_exe  installs into that Python's own environment instead
#   --target      installs into a folder: PYTHONPATH=FOLDER python3 -m verlaunch
# verify    says whether all arrived: each piece, the whole and each wheel by SHA-256.
#
# Both sides need this checkout, the same version of it. pip's own settings (index, proxies,
# certificates) apply to make untouched; install asks no index, whatever they say.
set -euo pipefail

VERLAUNCH_ROOT=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
# shellcheck source=scripts/setup.sh
source "$VERLAUNCH_ROOT/scripts/setup.sh"
# shellcheck source=scripts/offline/install.sh
source "$VERLAUNCH_ROOT/scripts/offline/install.sh"

usage() {
  sed -n '2,/^set -euo/{/^# \{0,1\}/{s///;p}}' "$VERLAUNCH_ROOT/scripts/offline_bundle.sh"
}

read_flags() { # read_flags ARGUMENTS... ; sets STEP, DIR and one variable per flag
  local flag value
  STEP='' DIR='' HARDWARE_FLAG=gpu PYTHON_FLAG='' GLIBC=2.31
  MINIMAL=() HAVE=() PIECES=() PYTHON_EXE='' TARGET=''
  while (($#)); do
    flag=$1 value=${2-}
    shift
    case $flag in
      -h | --help)
        usage
        exit 0
        ;;
      --minimal)
        MINIMAL=(--minimal)
        continue
        ;;
      --*=*) value=${flag#*=} flag=${flag%%=*} ;;
      --*)
        (($#)) || fail "$flag needs a value. See: scripts/offline_bundle.sh --help"
        shift
        ;;
    esac
    case ${flag//-/_} in
      __hardware) HARDWARE_FLAG=$value ;;
      __python) PYTHON_FLAG=$value ;;
      __glibc) GLIBC=$value ;;
      __have) HAVE=(--have "$value") ;;
      __piece_mib) PIECES=(--piece_mib "$value") ;;
      __python_exe) PYTHON_EXE=$value ;;
      __target) TARGET=$value ;;
      __*) fail "Unknown flag $flag. See: scripts/offline_bundle.sh --help" ;;
      *) place "$flag" ;;
    esac
  done
  check_flags
}

place() {
  if [[ ! $STEP ]]; then STEP=$1; elif [[ ! $DIR ]]; then DIR=$1; else
    fail "$1 is one word too many: scripts/offline_bundle.sh $STEP $DIR is all."
  fi
}

check_flags() {
  local words="scripts/offline_bundle.sh make DIR, install DIR or verify DIR"
  [[ $STEP ]] || fail "Say what to do: $words. More: --help"
  [[ $STEP =~ ^(make|install|verify)$ ]] || fail "$STEP is unknown: $words. More: --help"
  [[ $DIR ]] || fail "A folder is missing: scripts/offline_bundle.sh $STEP DIR"
  [[ $HARDWARE_FLAG =~ ^(cpu|gpu)$ ]] || fail "--hardware $HARDWARE_FLAG: allowed are cpu and gpu."
  [[ $PYTHON_FLAG =~ ^(3\.1[0-4])?$ ]] ||
    fail "--python $PYTHON_FLAG: allowed are 3.10 to 3.14 (GPU: 3.13)."
  [[ $HARDWARE_FLAG$PYTHON_FLAG != gpu3.14 ]] || fail "--python 3.14: the GPU set is for 3.10 to 3.13."
  [[ $GLIBC =~ ^2\.[0-9]+$ ]] ||
    fail "--glibc $GLIBC: takes a version such as 2.31 (ldd --version)."
  [[ ${PIECES[1]-1} =~ ^[1-9][0-9]*$ ]] ||
    fail "--piece_mib ${PIECES[1]}: takes a whole number of MiB."
  [[ ! $PYTHON_EXE || ! $TARGET ]] || fail "--python_exe and --target: choose one."
}

step() { "$PY" "$VERLAUNCH_ROOT/scripts/offline/bundle.py" "$@"; }

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

make_bundle() {
  PY=$(find_pip)
  PYTHON_FLAG=${PYTHON_FLAG:-$(version_of "$PY")}
  step plan "$DIR" --lock "$VERLAUNCH_ROOT/locks/$HARDWARE_FLAG.txt" --hardware "$HARDWARE_FLAG" \
    --python "$PYTHON_FLAG" --glibc "$GLIBC" "${MINIMAL[@]}" "${HAVE[@]}"
  DIR=$(cd "$DIR" && pwd)
  : >"$DIR/make.log"
  if [[ -s $DIR/torch.txt ]]; then download_torch; fi
  download "$DIR/wanted.txt" || download_failed
  build_wheels
  if [[ $HARDWARE_FLAG == cpu ]]; then take_numa; fi
  step pack "$DIR" "${PIECES[@]}"
  say "Copy $DIR to the machine without network. There, in a checkout of the same version, type:" \
    "  scripts/offline_bundle.sh install DIR"
}

find_pip() {
  usual_python 'sys.version_info >= (3, 10) and __import__("pip")' ||
    fail "No Python from 3.10 on with pip was found. Name one: PYTHON=/path/to/python3 $0 make DIR"
}

# pip takes each --platform for itself: what runs on an older C library is named too.
download() { # download REQUIREMENTS
  local minor platforms=(--platform linux_x86_64 --platform manylinux1_x86_64)
  platforms+=(--platform manylinux2010_x86_64 --platform manylinux2014_x86_64)
  for ((minor = ${GLIBC#2.}; minor >= 5; minor--)); do
    platforms+=(--platform "manylinux_2_${minor}_x86_64")
  done
  noted "$PY" -m pip download --no-deps --require-hashes --ignore-requires-python \
    --progress-bar off -d "$DIR/wheels" --implementation cp --python-version "$PYTHON_FLAG" \
    "${platforms[@]}" -r "$1"
}

# As install_torch in scripts/setup/packages.sh: the CUDA build of torch cannot be imported alone.
download_torch() {
  if download "$DIR/torch.txt"; then return; fi
  grep -q "(from versions: [0-9]" "$DIR/make.log" || download_failed
  say "The package index has only the CUDA build of torch: adding what that needs." \
    "To avoid it, set PIP_EXTRA_INDEX_URL to PyTorch's CPU index, and start again."
  download "$DIR/cuda.txt" || download_failed
}

build_wheels() { # of what came as source
  local source built
  for source in "$DIR"/wheels/*; do
    [[ $source == *.whl ]] && continue
    rm -rf "$DIR/built"
    noted "$PY" -m pip wheel --progress-bar off --no-deps -w "$DIR/built" "$source" ||
      download_failed
    built=$(echo "$DIR"/built/*.whl)
    [[ $built == *-none-any.whl || $(version_of "$PY") == "$PYTHON_FLAG" ]] ||
      fail "${source##*/} had to be compiled, by Python $(version_of "$PY") for $PYTHON_FLAG." \
        "Make the bundle with that one: PYTHON=/path/to/python$PYTHON_FLAG $0 make $DIR"
    mv "$built" "$DIR/wheels"
    rm -r "$source" "$DIR/built"
  done
}

# The one library that the CPU's vLLM needs from the system, for a target that lacks it.
take_numa() {
  local python=$PY
  [[ ! -x $VENV/bin/python ]] || python=$VENV/bin/python # which knows one of its own
  "$python" -c 'import ctypes, re, shutil, sys
ctypes.CDLL("libnuma.so.1")
shutil.copyfile(re.search(r"/.*libnuma\.so\.1.*", open("/proc/self/maps").read())[0], sys.argv[1])' \
    "$DIR/wheels/libnuma.so.1" 2>>"$DIR/make.log" ||
    say "libnuma.so.1 is not in the bundle: this machine has none. The target needs its own."
}

noted() { recorded "$DIR/make.log" "$@"; }

download_failed() { gave_up "$DIR/make.log" "Downloading" "The same command again goes on."; }

noted_in() { sed -n "s/^ \"$1\": \"\(.*\)\",\$/\1/p" "$DIR/bundle.json" 2>/dev/null || true; }

verify_bundle() {
  PY=$(find_new_enough)
  step unpack "$DIR"
}

find_new_enough() { # for what needs neither pip nor venv
  usual_python 'sys.version_info >= (3, 10)' ${PYTHON_EXE:+"$PYTHON_EXE"} ||
    fail "No Python from 3.10 on was found. Name one: PYTHON=/path/to/python3 $0 $STEP $DIR"
}

read_flags "$@"
"${STEP}_bundle"
