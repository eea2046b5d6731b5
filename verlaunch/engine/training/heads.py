"""A head of its own beside tied embeddings, found when the weights are loaded, from any file.

    heads.check(module)     # raises HeadOfItsOwn

transformers loads both where the file has both (modeling_utils.py), verl trains what was loaded,
and vLLM takes the embeddings for the head whatever the file says (models/qwen2.py and its kin): the
policy that answers is another one than the policy that is trained. What a folder of safetensors
shows is told in the plan (plan/guards/own_head.py); this is for *.bin files and models of the hub.
"""

import torch


class HeadOfItsOwn(RuntimeError):
    pass


def check(module: torch.nn.Module) -> None:
    """module: a causal language model, its weights loaded and not yet sharded."""
    head, body = module.get_output_embeddings(), module.get_input_embeddings()
    if head is None or not module.config.get_text_config().tie_word_embeddings:
        return
    one, other = head.weight, body.weight
    if one is other or one.is_meta or other.is_meta:
        return
    if one.shape == other.shape and not torch.equal(one, other):
        raise HeadOfItsOwn(
            f"the head of {module.config._name_or_path} is not its embeddings, and its config.json "
            'ties the two: write "tie_word_embeddings": false there'
        )
