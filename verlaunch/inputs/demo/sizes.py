"""The sizes of the demo's model, as its config.json has them; torch is not needed to know them."""

SIZES = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,  # heads of 32: the smallest size that vLLM's CPU attention has
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
}
CONFIG = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": 260, **SIZES}
