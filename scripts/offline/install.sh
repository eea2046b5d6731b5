# shellcheck shell=bash
# The half of scripts/offline_bundle.sh that works on the machine without network; sourced by it.
#
#   install_bundle    # DIR into .venv, or where PYTHON_EXE or TARGET say
#
# .venv is made by set_up of scripts/setup.sh, with its lock, log and stamp; only what pip is asked
# for is another: the bundle's pins, found in the bundle's wheels.

install_bundle() {
  verify_bundle
  DIR=$(cd "$DIR" && pwd)
  local lock
  HARDWARE_SET=$(noted_in hardware) PYTHON_FLAG=$(noted_in python)
  lock=$(sha256sum <"$VERLAUNCH_ROOT/locks/$HARDWARE_SET.txt")
  [[ ${lock%% *} == "$(noted_in lock_sha256)" ]] ||
    fail "The bundle was made from another locks/$HARDWARE_SET.txt than this checkout's." \
      "Make it again from the same version of the project."
  PY=$(matching_python)
  "$PY" -c 'import platform, sys
have, wanted = platform.libc_ver()[1] or "0", sys.argv[1]
sys.exit([*map(int, have.split("."))] < [*map(int, wanted.split("."))])' "$(noted_in glibc)" ||
    fail "The bundle was made for C library $(noted_in glibc) or later; this machine's is older." \
      "Make it with --glibc VERSION, as the first line of ldd --version says."
  cut_off
  if [[ $PYTHON_EXE ]]; then
    into_environment
  elif [[ $TARGET ]]; then
    into_folder
  else
    into_venv
  fi
}

matching_python() {
  local name names=("${PYTHON_EXE:-${PYTHON:-}}") seen=()
  [[ ${names[0]} ]] || names=("python$PYTHON_FLAG" python3 "$VENV/bin/python")
  for name in "${names[@]}"; do
    if [[ $(version_of "$name") == "$PYTHON_FLAG" ]]; then
      command -v "$name"
      return
    fi
    seen+=("$name is $(version_of "$name" || echo 'not found')")
  done
  fail "The bundle is for Python $PYTHON_FLAG; $(IFS=,; echo "${seen[*]}")." \
    "Name one: PYTHON=/path/to/python$PYTHON_FLAG scripts/offline_bundle.sh install $DIR"
}

cut_off() { # pip sees the bundle and nothing else
  unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_CONSTRAINT PIP_REQUIREMENT
  local to_uri='import pathlib, sys; print(pathlib.Path(sys.argv[1]).as_uri())'
  export PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS
  PIP_FIND_LINKS=$("$PY" -c "$to_uri" "$DIR/wheels") # a path may hold spaces, which part a list
}

into_venv() {
  local id
  id=$(noted_in id)
  PYTHON=$PY
  step needed "$DIR" >/dev/null # --have kept its word
  # A complete .venv may be the work of a smaller bundle: pip looks again, and what is good stays.
  grep -qsx "bundle $id" "$VENV/stamp" || rm -f "$VENV/stamp"
  set_up "$HARDWARE_SET"
  grep -qx "bundle $id" "$VENV/stamp" || left_out "$id" >>"$VENV/stamp"
  say "./train.sh starts now without a network."
}

left_out() { # what stands in the stamp beside scripts/setup.sh's own lines
  echo "bundle $1"
  sed -n '/^ "left_out": {$/,/^ }/s/^  "\([^"]*\)".*/left out \1/p' "$DIR/bundle.json"
}

# In place of that of scripts/setup/packages.sh, which asks for all that the lock names.
install_packages() {
  lay_over
  if [[ $1 == cpu ]] && grep -q '^torch==' "$DIR/pins.txt"; then install_torch; fi
  logged pip_install -r "$DIR/pins.txt"
  logged pip_install --no-build-isolation -e "$VERLAUNCH_ROOT"
}

# A bundle made with --have: .venv also sees the packages of the Python that it is made from. A .pth
# file works where that Python is itself a virtual environment; --system-site-packages would not.
lay_over() {
  local site
  site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  rm -f "$site/verlaunch-base.pth"
  grep -q '^ "on_target": {}' "$DIR/bundle.json" && return
  "$PY" -c 'import os, sys
names = ("site-packages", "dist-packages")
print(*(path for path in sys.path if os.path.basename(path) in names), sep="\n")' \
    >"$site/verlaunch-base.pth"
}

# In place of that of scripts/setup/machine.sh: the library that came with the wheels.
fetch_numa() {
  [[ -r $DIR/wheels/libnuma.so.1 ]] || return
  mkdir -p "$VENV/lib/system"
  cp "$DIR/wheels/libnuma.so.1" "$VENV/lib/system" && load_own_numa
}

into_environment() {
  "$PY" -c 'import pip' 2>/dev/null ||
    fail "$PYTHON_EXE has no pip. Where it has ensurepip: $PYTHON_EXE -m ensurepip"
  step needed "$DIR" >"$DIR/needed.txt"
  put "$PY" -m pip install --no-deps --ignore-requires-python --progress-bar off -r "$DIR/needed.txt"
  put "$PY" -m pip install --no-deps --ignore-requires-python --progress-bar off --no-build-isolation -e "$VERLAUNCH_ROOT"
  say "Installed into the environment of $PYTHON_EXE. Start: $PYTHON_EXE -m verlaunch"
}

into_folder() {
  mkdir -p "$TARGET"
  TARGET=$(cd "$TARGET" && pwd)
  export PYTHONPATH=$TARGET
  step needed "$DIR" >"$DIR/needed.txt"
  local pip=("$PY" -m pip install --no-deps --ignore-requires-python --upgrade --progress-bar off --target "$TARGET")
  put "${pip[@]}" -r "$DIR/needed.txt"
  put "${pip[@]}" --no-build-isolation "$VERLAUNCH_ROOT"
  say "Installed into $TARGET. Start: PYTHONPATH=$TARGET $PY -m verlaunch"
}

put() { # pip install, where there may be nothing to install
  [[ $* != *"-r $DIR/needed.txt"* || -s $DIR/needed.txt ]] || return 0
  "$@" >"$DIR/install.log" 2>&1 && return
  say "Installing failed. The end of $DIR/install.log:" ""
  tail -n 15 "$DIR/install.log" >&2
  exit 1
}
