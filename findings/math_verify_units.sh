#!/usr/bin/env bash
# A letter behind a number is thrown away when it could be a unit: 5d is 5, and so is 5.
#
# One would guess that `5d` is a product, as `5x` is. Math-Verify takes d, l, m and t for days, litres,
# metres and tonnes and drops them, also in a task about the variable d: the number alone is paid.
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

for text in ("5d", "3l", "7m", "2t", "5x"):
    number = text[0]
    print(text, "is", number, "|", verify(parse(f"${text}$"), parse(f"${number}$")))
PY
seen=$("$folder/env/bin/python" "$folder/ask.py")
echo "$seen"
[ "$seen" = '5d is 5 | True
3l is 3 | True
7m is 7 | True
2t is 2 | True
5x is 5 | False' ]
