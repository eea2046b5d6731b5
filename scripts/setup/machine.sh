# shellcheck shell=bash
# What the machine has to bring, looked at before anything is downloaded. Sourced by scripts/setup.sh.
#
#   enough_room cpu            # on the disk of .venv, or one message and the end
#   tell_of_little_memory
#   need_numa                  # libnuma is there, or installed, or fetched into .venv

# An install at its peak: the packages, and beside them the wheels that they come from.
declare -A PEAK_MB=([cpu]=4300 [cuda]=7800 [gpu]=14000)
INSTALL_MEMORY_MB=600

enough_room() { # enough_room cpu|cuda|gpu
  local free_mb mount have_mb
  read -r free_mb mount < <(df -m --output=avail,target "$VENV" | tail -n 1)
  have_mb=$(du -sm "$VENV" | cut -f1) # of an install that did not end
  ((free_mb + have_mb >= PEAK_MB[$1])) && return
  fail "Installing needs ${PEAK_MB[$1]} MB below $VENV; the disk at $mount has $free_mb MB free." \
    "Make room there, or clone the project to a larger disk. Nothing was downloaded."
}

tell_of_little_memory() {
  local file free_kb limit_mb
  free_kb=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
  limit_mb=$((free_kb / 1024))
  for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    if [[ -r $file && $(<"$file") =~ ^[0-9]{1,18}$ ]]; then # "max" where there is no limit
      limit_mb=$(($(<"$file") >> 20 < limit_mb ? $(<"$file") >> 20 : limit_mb))
    fi
  done
  ((limit_mb >= INSTALL_MEMORY_MB)) ||
    say "Only $limit_mb MB of memory are free: installing takes up to $INSTALL_MEMORY_MB MB and may be killed."
}

# vLLM's CPU build loads libnuma.so.1, the one library that it needs from the system. A start that
# only looks (--help, --dry_run) goes on without it.
need_numa() {
  has_numa && return
  system_package libnuma1 "which vLLM needs"
  has_numa || fetch_numa || true
  has_numa || [[ $LOOKS ]] ||
    fail "libnuma.so.1 is missing, which vLLM needs. $(how_to_get_numa), and start again." \
      "Without root: ask your administrator, or use a container (docs/containers.md)."
}

has_numa() { "$VENV/bin/python" -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null; }

system_ids() { # " ubuntu debian "
  # shellcheck source=/dev/null
  (. /etc/os-release 2>/dev/null && echo " ${ID:-} ${ID_LIKE:-} ") || true
}

how_to_get_numa() {
  case $(system_ids) in
    *' debian '* | *' ubuntu '*) echo "Type: sudo apt install libnuma1" ;;
    *' fedora '* | *' rhel '*) echo "Type: sudo dnf install numactl-libs" ;;
    *suse*) echo "Type: sudo zypper install libnuma1" ;;
    *' arch '*) echo "Type: sudo pacman -S numactl" ;;
    *) echo "Install your system's package of it: libnuma1, numactl-libs or numactl" ;;
  esac
}

how_to_get_python() {
  case $(system_ids) in
    *' fedora '* | *' rhel '*) echo "sudo dnf install python3.12; PYTHON=python3.12 ./train.sh" ;;
    *suse*) echo "sudo zypper install python312; PYTHON=python3.12 ./train.sh" ;;
    *) # uv brings a Python of its own, without any right on the system
      echo "python3 -m venv ~/uv; ~/uv/bin/pip install uv; ~/uv/bin/uv python install 3.12" \
        "&& PYTHON=\$(~/uv/bin/uv python find 3.12) ./train.sh"
      ;;
  esac
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

# Without that right: Debian's package, checked by apt, is unpacked into .venv.
fetch_numa() {
  local folder=$VENV/tmp/apt own
  command -v apt-get dpkg >/dev/null || return
  say "Fetching libnuma1, which vLLM needs, into .venv."
  mkdir -p "$folder/lists/partial" "$folder/archives/partial" "$VENV/lib/system"
  own=(-o "Dir::State::lists=$folder/lists" -o "Dir::Cache=$folder") # the system's lists may be empty
  (
    cd "$folder" &&
      { apt-get download libnuma1 ||
        { apt-get "${own[@]}" update && apt-get "${own[@]}" download libnuma1; }; } &&
      dpkg -x libnuma1_*.deb . && cp -P usr/lib/*/libnuma.so.1* "$VENV/lib/system"
  ) >>"$VENV/install.log" 2>&1 && load_own_numa
}

# By each Python of .venv when it starts, for vLLM looks for libraries in the system's folders alone.
load_own_numa() {
  local site
  site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  echo 'import ctypes, sys; ctypes.CDLL(sys.prefix + "/lib/system/libnuma.so.1")' \
    >"$site/verlaunch-libnuma.pth"
}
