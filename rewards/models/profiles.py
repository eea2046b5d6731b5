"""What a reward model's card says and its config.json does not, by the model's name or class.

    profile_for("Skywork-Reward-V2-Llama-3.1-8B", "LlamaForSequenceClassification")
    # Profile(input="chat", max_length=16384, drop_system=True)

Names come first: a fine-tuned model keeps its class, but not always its habits. Left out on
purpose: what a tokenizer tells by itself (its template) and config.json (positions, labels).
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Input = Literal["chat", "pair", "llama2"]
Truncate = Literal["left", "response", "longest"]

# Between the user's turn and the answer. ArmoRM weighs its objectives by what it reads there.
LLAMA3_ANSWER = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"

# `<s>[INST] Hello? </s> [/INST] Hi, how can I help you?</s>`, as Starling was trained; a system
# message has no place of its own there.
LLAMA2_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}{{- message['content'] + '</s>' -}}"
    "{%- else -%}{{- '<s>[INST] ' + message['content'] + ' </s> [/INST] ' -}}{%- endif -%}"
    "{%- endfor -%}"
)


@dataclass(frozen=True)
class Profile:
    """input: None for chat where the tokenizer has a template, else pair.

    max_length: tokens, None for the model's positions. truncate: what an over-long input loses:
    its start, the end of its response, or the end of the longer of question and answer.
    full_precision: float32 on a card as well; small models are stored and were measured so.
    gate: the text at whose last place the model reads its prompt.
    """

    input: Input | None = None
    max_length: int | None = None
    truncate: Truncate = "left"
    drop_system: bool = False
    full_precision: bool = False
    gate: str | None = None


_DEBERTA = Profile("pair", 512, "longest", full_precision=True)
_ARMORM = Profile("chat", truncate="response", gate=LLAMA3_ANSWER)
_ENCODER = Profile(truncate="longest", full_precision=True)

NAMES = {
    "reward-model-deberta-*": _DEBERTA,
    "skywork-reward-*": Profile("chat", 16_384, drop_system=True),
    "starling-rm-*": Profile("llama2", 2048),
}
ARCHITECTURES = {
    "DebertaV2ForSequenceClassification": _DEBERTA,
    "DebertaForSequenceClassification": _DEBERTA,
    "LlamaForRewardModelWithGating": _ARMORM,
}
SUFFIX = "ForSequenceClassification"
# Those that vLLM turns into scorers. What it lacks, or has as an encoder only, transformers runs.
VLLM = {
    f"{family}{SUFFIX}"
    for family in (
        "Llama", "Mistral", "Mixtral", "Qwen2", "Qwen2Moe", "Qwen3", "Qwen3Moe", "Gemma2", "Phi3"
    )
}  # fmt: skip
PER_TOKEN = {"Qwen2ForRewardModel", "InternLM2ForRewardModel"}  # vLLM: a value for each token
OURS = {"LlamaForRewardModelWithGating", "Qwen2ForRewardModel"}  # classes in this package
NOT_TRANSFORMERS = {"InternLM2ForRewardModel"}
NOT_VLLM = {"LlamaForRewardModelWithGating"}
# They read both ways, frame their inputs with special tokens, and rarely have a template.
ENCODERS = {
    "albert", "bert", "big_bird", "camembert", "canine", "convbert", "deberta", "deberta-v2",
    "distilbert", "electra", "ernie", "eurobert", "fnet", "funnel", "longformer", "megatron-bert",
    "modernbert", "mpnet", "nomic_bert", "nystromformer", "rembert", "roberta",
    "roberta-prelayernorm", "roformer", "xlm", "xlm-roberta", "xlm-roberta-xl", "xlnet", "xmod",
    "yoso",
}  # fmt: skip

# Padding, or what else is in a batch, changes what they compute: by up to 1.4 where scores are 1.
ALONE = {
    "big_bird", "bigbird_pegasus", "canine", "convbert", "doge", "fnet", "funnel", "nystromformer",
    "reformer", "xlnet", "yoso",
}  # fmt: skip


def profile_for(name: str, architecture: str, model_type: str = "") -> Profile:
    """name: the last part of a folder or hub id, in any case."""
    for pattern, profile in NAMES.items():
        if fnmatchcase(name.lower(), pattern):
            return profile
    if architecture in ARCHITECTURES:
        return ARCHITECTURES[architecture]
    return _ENCODER if model_type in ENCODERS else Profile()
