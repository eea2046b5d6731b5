# shellcheck shell=bash
# Brings the locked packages into .venv. Sourced by scripts/setup.sh.
#
#   install_packages cpu test    # locks/cpu.txt, locks/test.txt, and the launcher itself
#
# What the tools print goes to .venv/install.log; the screen gets a short account of it.

# pip takes a package for installed when its *.dist-info is there. It writes INSTALLER after the
# package's files, so a folder without it is what a killed pip left in the middle.
drop_halves() {
  local folder
  for folder in "$VENV"/lib/python3*/site-packages/*.dist-info; do
    [[ -e $folder/INSTALLER ]] || rm -rf "$folder"
  done
}

INSTALLER=pip
# What pip's settings may say of where packages come from and how to get there.
SOURCES="(no-)?index|extra-index|find-links|constraint|cert|client-cert|proxy|trusted-host"
SOURCES+="|no-binary|only-binary|prefer-binary"

# uv is faster, but reads none of pip's settings: it serves where pip has none of these.
uv_serves() {
  local settings
  command -v uv >/dev/null &&
    settings=$("$VENV/bin/python" -m pip config list 2>/dev/null) &&
    ! grep -qE "[.]($SOURCES)" <<<"$settings"
}

# --no-deps: the locks are complete, and some packages ask for others that must not be there
# (locks/cpu-overrides.txt). --ignore-requires-python: verl alone says "below 3.13", and runs; uv
# ignores such upper bounds by itself. From / uv does not see what pyproject.toml tells scripts/lock.sh.
# What uv cannot do pip tries, by the same hashes: it may know a certificate that uv does not.
pip_install() {
  if [[ $INSTALLER == uv ]]; then
    (cd / && uv pip install --python "$VENV/bin/python" --no-deps "$@") && return
  fi
  "$VENV/bin/python" -m pip install --no-deps --ignore-requires-python --use-pep517 \
    --progress-bar off "$@"
}

# Every file is checked against the lock's hashes. antlr4 comes as source: it is built by the locked
# setuptools, for pip's isolated build would fetch one that nobody has checked.
install_packages() { # install_packages SET [test]
  local name locks=()
  for name in "$@"; do locks+=(-r "$VERLAUNCH_ROOT/locks/$name.txt"); done
  if uv_serves; then INSTALLER=uv; fi
  if [[ $1 == cpu ]]; then install_torch; fi
  pin setuptools "$VERLAUNCH_ROOT/locks/$1.txt" >"$VENV/tmp/build.txt"
  [[ ! -s $VENV/tmp/build.txt ]] || logged pip_install --require-hashes -r "$VENV/tmp/build.txt"
  logged pip_install --require-hashes --no-build-isolation "${locks[@]}"
  logged pip_install --no-build-isolation -e "$VERLAUNCH_ROOT"
}

pin() { # pin NAME LOCK: its lines, hashes included
  sed -n "/^$1==/,/[^\\\\]\$/p" "$2"
}

# torch comes first: an index may lack the CPU build (+cpu). Its CUDA build cannot be imported
# without its libraries, so they are installed too.
install_torch() {
  pin torch "$VERLAUNCH_ROOT/locks/cpu.txt" | sed 's/^torch==[^ ]*/&+cpu/' >"$VENV/tmp/torch.txt"
  [[ -s $VENV/tmp/torch.txt ]] || return 0
  if recorded "$VENV/install.log" pip_install --require-hashes -r "$VENV/tmp/torch.txt"; then return; fi
  # The index has other builds, or pip's constraints hide that there is none; else nothing answered.
  grep -qE "\(from versions: [0-9]|ResolutionImpossible" "$VENV/install.log" || install_failed
  say "The package index has only the CUDA build of torch: 6.8 GB on disk in place of 3." \
    "To avoid that, stop here, set PIP_EXTRA_INDEX_URL to PyTorch's CPU index, and start again."
  enough_room cuda
  logged pip_install --require-hashes -r "$VERLAUNCH_ROOT/locks/torch-cuda.txt"
}

logged() { recorded "$VENV/install.log" "$@" || install_failed; }

install_failed() {
  gave_up "$VENV/install.log" "Installing" "The next start keeps what is installed and pip's cache."
}

# Runs a command with its output in the log and a short account of it on the screen.
recorded() { # recorded LOG COMMAND...
  printf '+ %s\n' "${*:2}" >>"$1"
  PYTHONUNBUFFERED=1 "${@:2}" 2>&1 | tee -a "$1" | progress
}

gave_up() { # gave_up LOG DOING WAY_ON
  say "$2 failed. The end of $1:" ""
  tail -n 15 "$1" >&2
  if grep -q "DO NOT MATCH THE HASHES" "$1"; then
    say "" "A file is not the one that the lock names, and was not installed. The index, a mirror or a" \
      "proxy sent another file. Try another index; if that sends the same, please report it."
  fi
  if grep -q "No space left on device" "$1"; then say "" "$(df -h "$(dirname "$1")")"; fi
  say "" "$3 Mirrors are set as for pip (PIP_INDEX_URL, PIP_FIND_LINKS);" \
    "for a machine without a network see docs/install.md."
  exit 1
}

# Reads the installer's output. A terminal gets a counter in place, a file a line per 50 packages.
# uv names large packages alone, and says in the end how many there were.
progress() {
  local line count=0
  while IFS= read -r line; do
    case $line in
      Collecting\ * | Downloading\ *iB\)) line=${line#* } line="  $((count += 1)): ${line%% *}" ;;
      Installing\ collected*) ((count)) || continue; line="  unpacking $count packages" count=0 ;;
      Prepared\ *) line="  $line" count=0 ;;
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
