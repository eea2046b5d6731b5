#!/usr/bin/env bash
# The same Math-Verify reads 50\% as one half in one environment, and as fifty in another.
#
# One would guess that its version decides. Its grammar works with several runtimes of antlr, and Hydra
# and OmegaConf pin that runtime to 4.9: beside them the percentage is a plain number, elsewhere it is
# divided by a hundred. No error and no warning says so.
#
# math-verify 0.9.0, latex2sympy2-extended 1.11.0, sympy 1.14.0; antlr4-python3-runtime 4.13.2 and 4.9.3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
pip() { "$folder/env/bin/pip" install --quiet "$@"; }
pip math-verify==0.9.0 latex2sympy2-extended==1.11.0 sympy==1.14.0 antlr4-python3-runtime==4.13.2
# shellcheck disable=SC2016 # a dollar of LaTeX
ask() { "$folder/env/bin/python" -c 'from math_verify import parse; print(parse(r"$50\%$"))' 2>/dev/null; }
newer=$(ask)
pip antlr4-python3-runtime==4.9.3 # what hydra-core 1.3.2 and omegaconf 2.3.0 ask for
older=$(ask)
printf '%s\n' "antlr 4.13.2: $newer" "antlr 4.9.3: $older"
[ "$newer" = "[50*(1/100), '50\\\\%']" ] && [ "$older" = "[50, '50\\\\%']" ]
