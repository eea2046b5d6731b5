#!/usr/bin/env bash
# A config.json that transformers 5 has saved is another model to transformers 4.57, without a word.
#
# One would guess that a later major either writes what the earlier one reads, or that the earlier one
# refuses it. Transformers 5 keeps RoPE in `rope_parameters` and renames Qwen3-MoE's `num_experts` to
# `num_local_experts`; 4.57 takes what it does not know for an extra, and its defaults instead: a base of
# 10,000 for 1,000,000, no yarn, 128 experts for 4. The first two load, run and answer something else.
# Both forms in one file are read alike by both majors.
#
# transformers 5.10.4 and 4.57.6
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 5.10.4 4.57.6; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet "transformers==$version"
done
cat >"$folder/save.py" <<'PY'
import sys

from transformers import Qwen2Config, Qwen3MoeConfig

yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192, "rope_theta": 1e6}
Qwen2Config(rope_parameters=yarn).save_pretrained(sys.argv[1] + "/dense")
Qwen3MoeConfig(num_experts=4).save_pretrained(sys.argv[1] + "/experts")
PY
cat >"$folder/read.py" <<'PY'
import sys

from transformers import AutoConfig, __version__

dense, experts = (AutoConfig.from_pretrained(f"{sys.argv[1]}/{name}") for name in ("dense", "experts"))
rope = getattr(dense, "rope_parameters", None) or {}
theta = rope.get("rope_theta") if __version__.startswith("5") else dense.rope_theta
kind = rope.get("rope_type") if __version__.startswith("5") else dense.rope_scaling
print(f"{__version__}: theta {theta:g}, scaling {kind}, {experts.num_experts} experts")
PY
export TRANSFORMERS_VERBOSITY=error HF_HUB_OFFLINE=1
"$folder/5.10.4/bin/python" "$folder/save.py" "$folder" 2>"$folder/words"
seen=$(for version in 5.10.4 4.57.6; do "$folder/$version/bin/python" "$folder/read.py" "$folder" 2>>"$folder/words"; done)
echo "$seen"
expected="5.10.4: theta 1e+06, scaling yarn, 4 experts
4.57.6: theta 10000, scaling None, 128 experts"
[[ $seen == "$expected" ]]
