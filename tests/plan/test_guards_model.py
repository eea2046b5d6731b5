"""Model folders that would fail minutes into a run, or teach nothing, are told before it."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.guard_scenes import DEMO, scene_of, told
from verlaunch.errors import UserError
from verlaunch.inputs import models
from verlaunch.plan.guards import adapter, model_files, own_head, token_ids, vocabulary

M = "actor_rollout_ref.model"
Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def model(tmp_path: Path, tiny_qwen2: Path) -> Path:
    return shutil.copytree(tiny_qwen2, tmp_path / "m")


def change(file: Path, **values: Any) -> None:
    """Sets values of a JSON file; None takes one out."""
    found = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({key: value for key, value in found.items() if value is not None}))


def shard(model: Path, *names: str) -> None:
    """The same weights below the first name, and an index that tells of all."""
    (model / "model.safetensors").rename(model / names[0])
    index = {"weight_map": {f"layer.{i}": name for i, name in enumerate(names)}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("ties", "head", "says"),
    [(True, "other", "is not its embeddings"), (True, "same", ""), (True, "", ""),
     (False, "other", "")],
)  # fmt: skip
@pytest.mark.parametrize("sharded", [False, True])
def test_a_head_of_its_own_beside_tied_embeddings_is_told(
    model: Path, ties: bool, head: str, says: str, sharded: bool
) -> None:
    from safetensors.numpy import load_file, save_file

    held = load_file(model / "model.safetensors")
    held.pop("lm_head.weight", None)
    embeddings = held["model.embed_tokens.weight"]
    other = embeddings.copy()
    other[len(other) // 2] += 1
    if head:
        held["lm_head.weight"] = other if head == "other" else embeddings.copy()
    save_file(held, model / "model.safetensors")
    if sharded:
        (model / "model.safetensors").rename(model / "a.safetensors")
        index = {"weight_map": dict.fromkeys(held, "a.safetensors")}
        (model / "model.safetensors.index.json").write_text(json.dumps(index))
    change(model / "config.json", tie_word_embeddings=ties)
    found = told(own_head, scene_of(model))
    assert (len(found), says in "".join(found)) == (1 if says else 0, True)


# ---- weights -------------------------------------------------------------------------------


def test_a_whole_model_is_told_nothing(model: Path) -> None:
    scene = scene_of(model)
    guards = (model_files, token_ids, vocabulary, adapter)
    assert [text for guard in guards for text in told(guard, scene)] == []


def test_a_missing_shard_is_named_with_the_way_to_get_it(model: Path) -> None:
    shard(model, "model-1.safetensors", "model-2.safetensors")
    (found,) = told(model_files, scene_of(model))
    assert "model-2.safetensors is missing (named in model.safetensors.index.json)" in found
    assert f"hf download NAME model-2.safetensors --local-dir {model}" in found


def test_many_missing_shards_are_counted(model: Path) -> None:
    shard(model, *(f"model-{i}.safetensors" for i in range(5)))
    (found,) = told(model_files, scene_of(model))
    assert "model-1.safetensors, model-2.safetensors and 2 more are missing" in found


def test_a_git_lfs_pointer_is_not_taken_for_weights(model: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (model / "model.safetensors").write_text(pointer)
    (found,) = told(model_files, scene_of(model))
    assert f"git -C {model} lfs pull" in found


def test_a_file_that_is_cut_off_is_told_with_both_sizes(model: Path) -> None:
    file = model / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    (found,) = told(model_files, scene_of(model))
    assert f"has {len(whole) - 100:,} of {len(whole):,} bytes: it is cut off" in found


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has 0 of 8 bytes"),
        (b"<html>404 not found</html>", "is not a safetensors file"),
        (b"\x05\0\0\0\0\0\0\0{nope", "is not a safetensors file"),
        (b"\xff\0\0\0\0\0\0\0{}", "of 263 bytes: it is cut off"),
    ],
)
def test_what_is_no_safetensors_file_is_told(model: Path, content: bytes, says: str) -> None:
    (model / "model.safetensors").write_bytes(content)
    (found,) = told(model_files, scene_of(model))
    assert says in found


def test_an_index_that_names_nothing_is_told(model: Path) -> None:
    shard(model, "a.safetensors")
    (model / "model.safetensors.index.json").write_text("{}")
    assert "model.safetensors.index.json cannot be read" in told(model_files, scene_of(model))[0]


def test_weights_of_a_name_that_nobody_looks_for_are_told(model: Path) -> None:
    (model / "model.safetensors").rename(model / "mine.safetensors")
    assert "it has mine.safetensors" in told(model_files, scene_of(model))[0]


@pytest.mark.parametrize("kind", ["gptq", "awq", "bitsandbytes", "fp8", "mxfp4"])
def test_quantized_models_are_refused_by_their_kind(model: Path, kind: str) -> None:
    change(model / "config.json", quantization_config={"quant_method": kind})
    (found,) = told(model_files, scene_of(model))
    assert f"is quantized ({kind}): its weights cannot be trained" in found


def test_a_quantized_name_leads_to_the_model_without() -> None:
    name = "Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4"
    config = {**DEMO.config, "quantization_config": {"quant_method": "gptq"}}
    (found,) = told(model_files, scene_of(dataclasses.replace(DEMO, name=name, config=config)))
    assert found.endswith("Use --model Qwen/Qwen2.5-7B-Instruct.")


def test_the_critics_weights_are_looked_at_too(model: Path, tmp_path: Path) -> None:
    critic = shutil.copytree(model, tmp_path / "critic")
    (critic / "model.safetensors").write_bytes(b"")
    (found,) = told(model_files, scene_of(model, f"critic.model.path={critic}"))
    assert found.startswith(f"STOP --critic_model {critic}: model.safetensors has 0 of 8")


def test_an_adapter_alone_is_told_with_its_base(model: Path) -> None:
    (model / "config.json").unlink()
    (model / "adapter_config.json").write_text('{"base_model_name_or_path": "org/base", "r": 4}')
    with pytest.raises(UserError, match="--model org/base --lora_rank N"):
        models.look(str(model))


def test_gguf_is_for_running_only(model: Path) -> None:
    (model / "model.safetensors").rename(model / "q4.gguf")
    with pytest.raises(UserError, match="GGUF file, which is for running"):
        models.look(str(model))


# ---- tokenizer -----------------------------------------------------------------------------


def test_ids_beyond_the_embedding_stop_when_text_or_the_end_makes_them(model: Path) -> None:
    change(model / "config.json", vocab_size=257)
    (found,) = told(token_ids, scene_of(model))
    assert found.startswith("STOP")
    assert "has ids up to 259, and the model's vocabulary ends at 256" in found


def test_ids_beyond_the_embedding_that_no_prompt_makes_are_a_warning(model: Path) -> None:
    file = model / "tokenizer.json"
    added = json.loads(file.read_text())["added_tokens"]
    change(file, added_tokens=[*added, {"id": 300, "content": "<image>"}])
    (found,) = told(token_ids, scene_of(model))
    assert found.startswith("WARN")
    assert "(<image>)" in found


def test_a_unigram_vocabulary_is_counted_by_its_length(model: Path) -> None:
    pairs = [[f"word{i}", -1.0] for i in range(400)]
    change(model / "tokenizer.json", model={"type": "Unigram", "vocab": pairs})
    assert "ids up to 399" in told(token_ids, scene_of(model))[0]


def test_a_broken_tokenizer_json_is_told(model: Path) -> None:
    (model / "tokenizer.json").write_text('{"model": ')
    assert "tokenizer.json cannot be read" in told(token_ids, scene_of(model))[0]


def test_no_end_token_means_that_nothing_ends(model: Path) -> None:
    change(model / "tokenizer_config.json", eos_token=None)
    change(model / "config.json", eos_token_id=None)
    change(model / "generation_config.json", eos_token_id=None)
    (found,) = told(token_ids, scene_of(model))
    assert found.startswith("WARN")
    assert "has no end token" in found


def test_neither_end_nor_padding_token_stops(model: Path) -> None:
    change(model / "tokenizer_config.json", eos_token=None, pad_token=None)
    assert "neither an end token nor a padding token" in told(token_ids, scene_of(model))[0]


def test_an_end_token_of_the_class_itself_counts(model: Path) -> None:
    names = {"eos_token": None, "pad_token": None, "tokenizer_class": "LlamaTokenizer"}
    change(model / "tokenizer_config.json", **names)
    assert told(token_ids, scene_of(model)) == []


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for m in messages %}", "does not take a single question"),
        ("{{ raise_exception('needs a system message') }}", "needs a system message"),
        ("{{ messages[1]['content'] }}", "does not take a single question"),
        ("Hello", "leaves the prompt out (it makes 'Hello')"),
    ],
)
def test_a_chat_template_is_tried_on_one_question(model: Path, template: str, says: str) -> None:
    (model / "chat_template.jinja").write_text(template)
    (found,) = told(token_ids, scene_of(model))
    assert says in found
    assert f"{M}.custom_chat_template=JINJA" in found


def test_a_template_that_is_typed_wins_over_the_models(model: Path) -> None:
    (model / "chat_template.jinja").write_text("Hello")
    good = f"{M}.custom_chat_template='{{{{ messages[0].content }}}}'"
    assert told(token_ids, scene_of(model, good)) == []


def test_transformers_own_tags_print_nothing(model: Path) -> None:
    marked = "{%- generation -%}{{ messages[0].content }}{% endgeneration %}"
    (model / "chat_template.jinja").write_text(marked)
    assert told(token_ids, scene_of(model)) == []


def test_a_template_cannot_reach_out_of_its_sandbox(model: Path) -> None:
    reach = "{{ messages.__class__.__mro__[1].__subclasses__() }}"
    (model / "chat_template.jinja").write_text(reach)
    assert "is unsafe" in told(token_ids, scene_of(model))[0]


# ---- vocabulary of policy and critic -------------------------------------------------------


@pytest.fixture
def critic(model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model, tmp_path / "critic")


def test_a_critic_with_the_same_words_and_a_longer_embedding_is_fine(
    model: Path, critic: Path
) -> None:
    change(critic / "config.json", vocab_size=320)
    assert told(vocabulary, scene_of(model, f"critic.model.path={critic}")) == []


def test_a_critic_with_other_words_stops(model: Path, critic: Path) -> None:
    file = critic / "tokenizer.json"
    found = json.loads(file.read_text())
    words = found["model"]["vocab"]
    found["model"]["vocab"] = {word: 255 - index for word, index in words.items()}
    file.write_text(json.dumps(found))
    (text,) = told(vocabulary, scene_of(model, f"critic.model.path={critic}"))
    assert text.startswith("STOP")
    assert "256 of 260 ids are other words to it" in text


def test_a_critic_that_lacks_one_special_token_is_a_warning(model: Path, critic: Path) -> None:
    file = critic / "tokenizer.json"
    added = json.loads(file.read_text())["added_tokens"]
    change(file, added_tokens=added[:-1])
    (text,) = told(vocabulary, scene_of(model, f"critic.model.path={critic}"))
    assert text.startswith("WARN")
    assert "1 of 260 ids" in text


def test_a_critic_with_a_shorter_embedding_stops(model: Path, critic: Path) -> None:
    change(critic / "config.json", vocab_size=128)
    (text,) = told(vocabulary, scene_of(model, f"critic.model.path={critic}"))
    assert "has ids up to 259: an index error at step 1" in text


def test_a_critic_with_too_few_positions_stops(model: Path, critic: Path) -> None:
    change(critic / "config.json", max_position_embeddings=100)
    (text,) = told(vocabulary, scene_of(model, f"critic.model.path={critic}"))
    assert "= 128, but --critic_model" in text
    assert "has 100 positions" in text


def test_without_a_critic_nothing_is_compared(model: Path, critic: Path) -> None:
    change(critic / "config.json", vocab_size=128)
    typed = (f"critic.model.path={critic}", "--adv_estimator", "reinforce_plus_plus")
    assert told(vocabulary, scene_of(model, *typed)) == []


def test_a_family_without_a_value_head_cannot_be_the_critic() -> None:
    olmo = dataclasses.replace(DEMO, config={**DEMO.config, "model_type": "olmo2"})
    (text,) = told(vocabulary, scene_of(olmo))
    assert "no value head (...ForTokenClassification) for olmo2" in text


# ---- LoRA ----------------------------------------------------------------------------------

LORA = f"--lora_rank 8 {M}"


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (f"{LORA}.target_modules=[q_projj]", "Did you mean q_proj?"),
        (f"{LORA}.target_modules=[self_attn.q_projj]", "has no such linear layer"),
        (f"{LORA}.target_modules=q_proj", "target_modules=[q_proj]'"),
        (f"{LORA}.target_modules=all_linear", "Did you mean all-linear?"),
        (f"{LORA}.target_modules=[]", "takes all-linear or a list"),
        (f"{LORA}.lora_adapter_path=/none", "no adapter_config.json"),
        (f"{M}.lora_adapter_path=/none", "is not loaded without a rank"),
        ("critic.model.lora_rank=8", "peft would refuse it"),
        ("--lora_rank 8 actor_rollout_ref.rollout.layered_summon=true", "load_format=safetensors"),
    ],
)
def test_an_adapter_that_could_not_train_stops(typed: str, says: str) -> None:
    (found,) = told(adapter, scene_of(DEMO, *typed.split()))
    assert found.startswith("STOP")
    assert says in found


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("--lora_rank 512", "Use --lora_rank 32"),
        ("--lora_alpha 32", "does nothing: all weights are trained"),
        (f"{M}.target_modules=[q_proj]", "Add --lora_rank 16"),
    ],
)
def test_an_adapter_that_is_hardly_meant_is_a_warning(typed: str, says: str) -> None:
    (found,) = told(adapter, scene_of(DEMO, *typed.split()))
    assert found.startswith("WARN")
    assert says in found


@pytest.mark.parametrize("targets", ["all-linear", "[q_proj,v_proj]", "[self_attn.q_proj]"])
def test_layers_that_exist_are_let_through(targets: str) -> None:
    assert told(adapter, scene_of(DEMO, *f"{LORA}.target_modules={targets}".split())) == []


@pytest.mark.parametrize(
    ("settings", "typed", "says"),
    [
        ({"alpha_pattern": {"q_proj": 4}}, "", "has alpha_pattern, which vLLM does not serve"),
        ({"rank_pattern": {"q_proj": 2}}, "", "has rank_pattern, which vLLM does not serve"),
        ({"modules_to_save": ["lm_head"]}, "", "has modules_to_save, which vLLM"),
        ({"use_dora": True}, "", "Merge it into its base model"),
        ({"use_rslora": True, "lora_alpha": 3.5, "alpha_pattern": {}}, "", ""),
        ({"lora_alpha": 32}, "--lora_alpha 8", "keeps its own alpha, 32"),
        ({"target_modules": ["q_proj", "lm_head"]}, "", "adapts lm_head, and"),
    ],
)
def test_an_adapter_that_rollouts_cannot_represent_is_refused(
    settings: dict[str, Any], typed: str, says: str, tmp_path: Path
) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, **settings}))
    words = ("--lora_rank", "4", f"{M}.lora_adapter_path={tmp_path}", *typed.split())
    scene = scene_of(DEMO, *words)
    tied = dataclasses.replace(scene.model, config={"tie_word_embeddings": True})
    found = told(adapter, dataclasses.replace(scene, model=tied))
    assert (len(found), says in "".join(found)) == (1 if says else 0, True)


def test_an_adapters_own_rank_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 4}')
    typed = ("--lora_rank", "8", f"{M}.lora_adapter_path={tmp_path}")
    assert told(adapter, scene_of(DEMO, *typed))[0].endswith("Use --lora_rank 4.")
    assert told(adapter, scene_of(DEMO, "--lora_rank", "4", typed[2])) == []
