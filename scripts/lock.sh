#!/usr/bin/env bash
# Resolves locks/cpu.txt, gpu.txt, torch-cuda.txt and test.txt from pyproject.toml, for Linux on
# x86-64 and aarch64 and Python 3.10 to 3.14 at once (3.13 for GPUs); what differs between them gets a
# marker, and every file its hash. Pins that still fit are kept.
#
#   scripts/lock.sh                          # after a change of pyproject.toml
#   scripts/lock.sh --upgrade-package datasets
#   scripts/lock.sh --upgrade                # everything to the newest
#
# Needs `uv` on the PATH or in .venv. Arguments are handed to `uv pip compile`.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

uv=$(command -v uv || echo .venv/bin/uv)
if [[ ! -x $uv ]]; then
  echo "uv not found. Get it: .venv/bin/python -m pip install uv" >&2
  exit 2
fi
# A neighbouring Python serves for the few metadata builds; no interpreter is fetched for that.
export UV_PYTHON_DOWNLOADS=never
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

compile() { "$uv" pip compile --quiet --universal --python-version 3.10 "$@" >/dev/null; }

resolve() { # resolve NAME ARGUMENTS... ; the pins of before are what uv keeps
  grep "==" "locks/$1.txt" | sed 's/ \\$//' >"$work/$1.in" || true
  compile --no-annotate --output-file "$work/$1.in" "${@:2}"
}

write() { # write NAME [ARGUMENTS OF hashed.py...]
  echo "locks/$1.txt"
  compile --no-config --no-deps --format pylock.toml --output-file "$work/pylock.$1.toml" "$work/$1.in"
  .venv/bin/python scripts/lock/hashed.py "$work/pylock.$1.toml" "${@:2}" >"$work/$1.txt"
  mv "$work/$1.txt" "locks/$1.txt"
}

resolve cpu pyproject.toml --extra cpu --group build --override locks/cpu-overrides.txt "$@"
write cpu --torch locks/torch-cpu.sha256
resolve gpu pyproject.toml --extra gpu --group build "$@"
write gpu --newest 13

# The build of torch that the usual index has, with what it needs: without the metadata of the CPU's.
resolve torch-cuda --no-config --constraint "$work/cpu.in" "$@" - <<<"$(grep -o '^torch==[^ ]*' "$work/cpu.in")"
write torch-cuda

# The dev extra alone, agreeing with both sets, so that it can be installed beside either.
tools=$(sed -n '/^dev = \[/,/^\]/s/^ *"\(.*\)",$/\1/p' pyproject.toml)
grep -v '^torch==' "$work/cpu.in" >"$work/shared.in"
resolve test --constraint "$work/shared.in" "$@" - <<<"$tools"
write test
