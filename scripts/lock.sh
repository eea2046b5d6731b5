#!/usr/bin/env bash
# Resolves locks/cpu.txt, locks/gpu.txt and locks/test.txt from pyproject.toml, for Linux x86-64 and
# Python 3.10 to 3.12 at once; what differs between them gets a marker. Pins that still fit are kept.
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

# tool.uv.environments in pyproject.toml, which uv repeats on every line.
everywhere="implementation_name == 'cpython' and platform_machine == 'x86_64'"
everywhere+=" and platform_python_implementation == 'CPython' and sys_platform == 'linux'"

lock() { # lock OUTPUT ARGUMENTS...
  local output=locks/$1
  shift
  echo "$output"
  "$uv" pip compile --quiet --universal --python-version 3.10 --no-annotate \
    --custom-compile-command scripts/lock.sh --output-file "$output" "$@" >/dev/null
  sed -i -e "s/ and $everywhere//" -e "s/ ; $everywhere\$//" \
    -e "s/ ; python_full_version < '3.13'\$//" -e "s/ and python_full_version < '3.13'//" "$output"
}

lock cpu.txt pyproject.toml --extra cpu --group build --override locks/cpu-overrides.txt "$@"
lock gpu.txt pyproject.toml --extra gpu --group build "$@"

# The dev extra alone, agreeing with both sets, so that it can be installed beside either.
tools=$(sed -n '/^dev = \[/,/^\]/s/^ *"\(.*\)",$/\1/p' pyproject.toml)
grep -v '^torch==' locks/cpu.txt >locks/.shared.tmp
trap 'rm -f locks/.shared.tmp' EXIT
lock test.txt - --constraint locks/.shared.tmp "$@" <<<"$tools"
