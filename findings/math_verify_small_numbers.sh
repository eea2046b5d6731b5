#!/usr/bin/env bash
# Exact fractions that are very small are all the same number.
#
# One would guess that 1/2^99 and 1/2^98, both written exactly, are compared exactly. Math-Verify finds
# them equal, and sqrt(2)/2^60 equal to sqrt(3)/2^60 as well, while 1/2^9 and 1/2^8 are told apart.
#
# math-verify 0.9.0, latex2sympy2-extended 1.11.0, sympy 1.14.0, antlr4-python3-runtime 4.13.2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet math-verify==0.9.0 latex2sympy2-extended==1.11.0 sympy==1.14.0 \
  antlr4-python3-runtime==4.13.2
cat >"$folder/ask.py" <<'PY'
from math_verify import parse, verify

PAIRS = (
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
    (r"\frac{\sqrt2}{2^{60}}", r"\frac{\sqrt3}{2^{60}}"),
    (r"\frac{1}{2^{9}}", r"\frac{1}{2^{8}}"),
)
for gold, answer in PAIRS:
    print(gold, answer, verify(parse(f"${gold}$"), parse(f"${answer}$")))
PY
seen=$("$folder/env/bin/python" "$folder/ask.py")
echo "$seen"
[ "$seen" = '\frac{1}{2^{99}} \frac{1}{2^{98}} True
\frac{\sqrt2}{2^{60}} \frac{\sqrt3}{2^{60}} True
\frac{1}{2^{9}} \frac{1}{2^{8}} False' ]
