#!/usr/bin/env bash
# The same word is one value in a configuration file and another on Hydra's command line.
#
# One would guess that `key=WORD` means what `key: WORD` means in the YAML file beside it: both end in the
# same OmegaConf tree. They are read by two grammars. `off` switches a thing off in a file and is a text
# on the command line, which is true wherever somebody asks `if config.key`; 010 is 8 or a text; 1:30 is 90
# seconds or a text; each side has its own way to write infinity and takes the other's for a text; a
# negative number that begins with its point is a text in a file only. Numbers like 1e-6 are safe in both
# (plain PyYAML takes that one for a text as well).
#
# hydra-core 1.3.2, omegaconf 2.3.0, PyYAML 6.0.2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet hydra-core==1.3.2 omegaconf==2.3.0 pyyaml==6.0.2
cat >"$folder/ask.py" <<'PY'
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

line = OverridesParser.create()
for word in "1e-6 off tRuE 010 0x1F 1:30 1__0 inf .inf -.5e-3".split():
    in_file = OmegaConf.create(f"key: {word}").key
    on_line = line.parse_override(f"key={word}").value()
    print(f"{word:7} file {in_file!r:8} line {on_line!r}")
PY
seen=$("$folder/env/bin/python" "$folder/ask.py")
echo "$seen"
[ "$seen" = "1e-6    file 1e-06    line 1e-06
off     file False    line 'off'
tRuE    file 'tRuE'   line True
010     file 8        line '010'
0x1F    file 31       line '0x1F'
1:30    file 90       line '1:30'
1__0    file 10       line '1__0'
inf     file 'inf'    line inf
.inf    file inf      line '.inf'
-.5e-3  file '-.5e-3' line -0.0005" ]
