#!/usr/bin/env bash
# Two equations that have no solution among the reals count as the same answer.
#
# One would guess that e^x = -1 and e^x = -2 differ, as their right sides do. Math-Verify compares what
# its solver finds, and for both that is the empty set: whoever is rewarded by it may write any equation
# that cannot be solved. Equations that have a solution are told apart.
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

for gold, answer in (("e^x=-1", "e^x=-2"), (r"\sin x=2", r"\sin x=3"), ("x+1=3", "x+1=4")):
    print(gold, "|", answer, "|", verify(parse(f"${gold}$"), parse(f"${answer}$")))
PY
seen=$("$folder/env/bin/python" "$folder/ask.py")
echo "$seen"
[ "$seen" = 'e^x=-1 | e^x=-2 | True
\sin x=2 | \sin x=3 | True
x+1=3 | x+1=4 | False' ]
