#!/usr/bin/env bash
# Tries the first minute on fresh Debian systems, one after the other, and prints what each saw.
#
#   sudo scripts/try_python.sh                            # bookworm, trixie and forky
#   sudo scripts/try_python.sh forky --offline            # a bundle too, installed without a network
#   sudo scripts/try_python.sh trixie --with /etc/pip.conf --with /etc/ssl/certs/ca-certificates.crt
#
# debootstrap makes each system in a folder below TMPDIR (or /tmp), with the Python that the release
# brings (3.11, 3.13, 3.14) and a user who has no sudo. That user clones what is committed here, and
# types `./train.sh --steps 4`. --with FILE copies a file of this machine to the same place there.
# DEBIAN_MIRROR names another mirror, SHM the size of /dev/shm (64m, as docker gives).
#
# Not among the tests: it needs root, and each system 15 GB of disk and downloads of some GB, for
# minutes. What a system printed stays in TMPDIR/try_python.RELEASE.log.
set -euo pipefail

CHECKOUT=$(dirname -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")")
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
NEWCOMER=1000 # user and group of the one who types
ROW='%-9s %-7s %-8s %-13s %9s %6s %7s  %s\n'

fail() {
  printf '%s\n' "$@" >&2
  exit 2
}

read_flags() { # sets RELEASES, WITH and OFFLINE
  RELEASES=() WITH=(/etc/resolv.conf) OFFLINE=''
  while (($#)); do
    case $1 in
      --with) WITH+=("${2:?--with needs a file}") && shift ;;
      --offline) OFFLINE=1 ;;
      -h | --help) sed -n '2,/^set -euo/{/^# \{0,1\}/{s///;p}}' "$0" && exit ;;
      -*) fail "Unknown flag $1. See: scripts/try_python.sh --help" ;;
      *) RELEASES+=("$1") ;;
    esac
    shift
  done
  ((${#RELEASES[@]})) || RELEASES=(bookworm trixie forky)
}

make_system() { # make_system RELEASE
  local file
  # The script sid serves every Debian, those too that are newer than this machine's debootstrap.
  unshare --mount debootstrap --variant=minbase --include=ca-certificates,git,python3-venv \
    "$1" "$ROOT" "$MIRROR" /usr/share/debootstrap/scripts/sid || return
  for file in "${WITH[@]}"; do
    mkdir -p "$ROOT${file%/*}" && cp -L "$file" "$ROOT$file"
  done
  git clone --quiet --no-hardlinks "$CHECKOUT" "$ROOT/home/newcomer/verlaunch"
  chroot "$ROOT" groupadd --gid "$NEWCOMER" newcomer
  chroot "$ROOT" useradd --uid "$NEWCOMER" --gid "$NEWCOMER" --home-dir /home/newcomer newcomer
  chroot "$ROOT" chown -R newcomer:newcomer /home/newcomer
}

# Runs a command as the user, in namespaces of its own: nobody else sees what is mounted there, and
# with the first process (killed on Ctrl-C) every other one and every mount is gone.
as_newcomer() { # as_newcomer COMMAND [--net: without a network]
  local code=0
  # shellcheck disable=SC2016  # the bash inside expands it
  unshare --mount --pid --fork --kill-child "${@:2}" bash -euc '
    mount -t proc proc "$1/proc"
    mount --rbind /sys "$1/sys"
    mount --rbind /dev "$1/dev"
    mount -t tmpfs -o "size=$2" tmpfs "$1/dev/shm"
    [[ ! $5 ]] || ip link set lo up
    chroot --userspec="$3:$3" "$1" env -i HOME=/home/newcomer PATH=/usr/bin:/bin LANG=C.UTF-8 \
      bash -euc "cd ~/verlaunch; $4"
    exit # as root it stays the first process: one that changes its user is not killed with unshare
    ' bash "$ROOT" "${SHM:-64m}" "$NEWCOMER" "$1" "${2:-}" &
  INSIDE=$!
  wait "$INSIDE" || code=$?
  INSIDE=''
  return "$code"
}

# Prints a row: how long the install and all of it took, and what the user saw of the training.
try_way() { # try_way RELEASE WAY COMMAND [--net]
  local started=$SECONDS start_s code=0 install_s='-' seen
  local stamp=$ROOT/home/newcomer/verlaunch/.venv/stamp
  start_s=$(date +%s)
  echo "== $1, $2: $3" >>"$LOG"
  as_newcomer "${@:3}" >>"$LOG" 2>&1 || code=$?
  if [[ -e $stamp ]]; then install_s=$(($(stat -c %Y "$stamp") - start_s)); fi
  seen=$(sed -n "/^== $1, $2:/,\$p" "$LOG" | grep . | tail -n 15)
  if ((code == 0)); then
    seen=$(grep "^Validation score" <<<"$seen")
  else # the system goes, and with it the run's own log
    cat "$ROOT"/home/newcomer/verlaunch/{.venv/install,outputs/logs/train*}.log >>"$LOG" 2>/dev/null || true
  fi
  # shellcheck disable=SC2059  # the one format of the head and of each row
  printf "$ROW" "$1" "$2" "$(noted python)" "$(noted torch)" "$install_s" $((SECONDS - started)) \
    "$code" "${seen##*$'\n'}"
}

noted() { # noted python|torch: the version in .venv
  local site
  for site in "$ROOT"/home/newcomer/verlaunch/.venv/lib/python3*/site-packages; do
    case $1 in
      python) basename "${site%/site-packages}" | sed 's/python//' ;;
      torch) basename -s .dist-info "$site"/torch-*.dist-info | sed 's/torch-//' ;;
    esac
  done
}

try_release() { # try_release RELEASE
  ROOT=$WORK/$1 LOG=${TMPDIR:-/tmp}/try_python.$1.log
  make_system "$1" >"$LOG" 2>&1 || fail "No system was made of $1. See $LOG"
  try_way "$1" online "./train.sh --steps 4"
  if [[ $OFFLINE ]]; then
    as_newcomer 'scripts/offline_bundle.sh make ~/bundle --hardware cpu' >>"$LOG" 2>&1 || true
    try_way "$1" offline "rm -rf .venv outputs; scripts/offline_bundle.sh install ~/bundle
      ./train.sh --steps 4" --net
  fi
  rm -rf "$ROOT"
}

clean_up() {
  if [[ $INSIDE ]]; then kill -KILL "$INSIDE" 2>/dev/null || true; fi
  wait 2>/dev/null
  rm -rf "$WORK" || { sleep 2 && rm -rf "$WORK"; } # what was killed may have been writing
}

read_flags "$@"
((EUID == 0)) || fail "Making a system of its own needs root: sudo scripts/try_python.sh"
command -v debootstrap >/dev/null || fail "debootstrap is missing: sudo apt install debootstrap"
INSIDE='' WORK=$(mktemp -d -t try_python.XXXXXX)
trap clean_up EXIT
trap 'exit 130' INT TERM
chmod 755 "$WORK" # the user passes through it
# shellcheck disable=SC2059
printf "$ROW" system way python torch install_s all_s exit "what it said"
for release in "${RELEASES[@]}"; do try_release "$release"; done
