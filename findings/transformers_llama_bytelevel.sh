#!/usr/bin/env bash
# A tokenizer.json is read as another tokenizer when its folder calls the class LlamaTokenizerFast.
#
# One would guess that a `fast` tokenizer is its tokenizer.json, whatever the class beside it is called, as
# it was in transformers 4. Transformers 5.10 builds the Llama class anew from the vocabulary and merges of
# the file, with Llama's own way of cutting words: of a ByteLevel file (DeepSeek's distilled Llama has one)
# spaces and line ends are lost, in what is encoded and in what is decoded. No word is said. Under
# PreTrainedTokenizerFast the same file is read as it is, and under Qwen2's class as well.
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
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, []))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
for name in ("LlamaTokenizerFast", "PreTrainedTokenizerFast", "Qwen2TokenizerFast"):
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
PY
cat >"$folder/read.py" <<'PY'
import sys

from transformers import AutoTokenizer, __version__

text = "a b\n\n  x = 1"
for name in ("LlamaTokenizerFast", "PreTrainedTokenizerFast", "Qwen2TokenizerFast"):
    tokenizer = AutoTokenizer.from_pretrained(f"{sys.argv[1]}/{name}")
    back = tokenizer.decode(tokenizer.encode(text, add_special_tokens=False))
    print(f"{__version__} {name}: {back!r}")
PY
export TRANSFORMERS_VERBOSITY=error HF_HUB_OFFLINE=1
"$folder/4.57.6/bin/python" "$folder/save.py" "$folder" 2>"$folder/words"
seen=$(for version in 5.10.4 4.57.6; do "$folder/$version/bin/python" "$folder/read.py" "$folder" 2>>"$folder/words"; done)
echo "$seen"
expected="5.10.4 LlamaTokenizerFast: 'abx=1'
5.10.4 PreTrainedTokenizerFast: 'a b\n\n  x = 1'
5.10.4 Qwen2TokenizerFast: 'a b\n\n  x = 1'
4.57.6 LlamaTokenizerFast: 'a b\n\n  x = 1'
4.57.6 PreTrainedTokenizerFast: 'a b\n\n  x = 1'
4.57.6 Qwen2TokenizerFast: 'a b\n\n  x = 1'"
[[ $seen == "$expected" ]]
