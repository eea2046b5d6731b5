#!/usr/bin/env bash
# An escaped interpolation comes back to life once the configuration has been resolved.
#
# One would guess that `\${b}`, OmegaConf's own way to write a dollar sign, stays text for good.
# `OmegaConf.resolve` works in place: it replaces the escaped text by the plain `${b}`, which the next
# read takes for a reference. A text with `${` therefore survives one resolve and dies at the second
# read, with an error or with another key's value; programs that resolve twice cannot carry it at all.
#
# omegaconf 2.3.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet omegaconf==2.3.0
cat >"$folder/ask.py" <<'PY'
from omegaconf import OmegaConf

config = OmegaConf.create({"name": r"a \${b}", "b": "another"})
print("before:", config.name)
OmegaConf.resolve(config)
print("after: ", config.name)
PY
seen=$("$folder/env/bin/python" "$folder/ask.py")
echo "$seen"
# shellcheck disable=SC2016 # a dollar of OmegaConf
[ "$seen" = 'before: a ${b}
after:  a another' ]
