"""Where a template closes a turn, and whether the model ends there."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.guard_scenes import scene_of
from verlaunch.config.compose import compose, fill
from verlaunch.config.derive import Facts, derive
from verlaunch.config.flags import parse
from verlaunch.config.tree import STOP_IDS, get
from verlaunch.inputs import models
from verlaunch.plan.tokenizer_files import Turn, turn_end, turn_of
from verlaunch.weights.small_files import as_published

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKED = CHATML.replace("{{ m.content }}", "{%- generation -%}{{ m.content }}{% endgeneration %}")
LLAMA3 = (
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content }}<|eot_id|>{% endfor %}"
)
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
ENDLESS = "{% for m in messages %}[{{ m.content }}]{% endfor %}{{ eos_token }}"
BROKEN = "{{ raise_exception('no') }}"
TOKENS = ("<|endoftext|>", "<|im_end|>", "<|im_start|>", "<|eot_id|>")


def folder(path: Path, ends: Any, generation: Any, eos: str | None = "<|endoftext|>") -> Path:
    """A base model's small files; weights are not looked at."""
    path.mkdir()
    added = [{"id": 10 + i, "content": token} for i, token in enumerate(TOKENS)]
    config = {"architectures": ["Qwen2ForCausalLM"], "vocab_size": 20, "eos_token_id": ends}
    files: dict[str, Any] = {
        "config.json": config,
        "tokenizer.json": {"model": {"vocab": {"a": 0}}, "added_tokens": added},
        "tokenizer_config.json": {"eos_token": eos},
        "generation_config.json": generation,
    }
    for name, found in files.items():
        if found is not None:
            (path / name).write_text(json.dumps(found))
    (path / "model.safetensors").touch()
    return path


@pytest.mark.parametrize(
    ("template", "ends", "generation", "found"),
    [
        (CHATML, 10, {"eos_token_id": 10}, Turn("<|im_end|>", 11, ("<|endoftext|>",))),  # Qwen2.5
        (CHATML, 10, None, Turn("<|im_end|>", 11, ("<|endoftext|>",))),
        (MARKED, 10, None, Turn("<|im_end|>", 11, ("<|endoftext|>",))),
        (CHATML, 10, {"eos_token_id": [11, 10]}, None),  # Qwen2.5-Instruct
        (CHATML, 11, None, None),
        # vLLM leaves config.json's ends alone where generation_config.json has some
        (CHATML, 11, {"eos_token_id": 10}, Turn("<|im_end|>", 11, ("<|endoftext|>",))),
        (LLAMA3, [10, 13], {}, Turn("<|eot_id|>", 13, ("<|endoftext|>",))),
        (PLAIN, 10, None, None),
        (ENDLESS, 10, None, None),
        (BROKEN, 10, None, None),
        (None, 10, None, None),
    ],
)
def test_the_end_of_a_turn_is_found_where_the_model_ends_elsewhere(
    tmp_path: Path, template: str | None, ends: Any, generation: Any, found: Turn | None
) -> None:
    model = models.look(str(folder(tmp_path / "m", ends, generation)))
    assert turn_end(model, template) == found


def test_a_tokenizer_without_tokenizer_json_is_read_from_its_added_tokens(tmp_path: Path) -> None:
    path = folder(tmp_path / "m", 10, None)
    (path / "tokenizer.json").unlink()
    added = {str(10 + i): {"content": token} for i, token in enumerate(TOKENS)}
    told = {"eos_token": "<|endoftext|>", "added_tokens_decoder": added}
    (path / "tokenizer_config.json").write_text(json.dumps(told))
    assert turn_end(models.look(str(path)), CHATML) == Turn("<|im_end|>", 11, ("<|endoftext|>",))


def test_a_flag_leaves_it_out(tmp_path: Path) -> None:
    path = folder(tmp_path / "m", 10, None)
    (path / "chat_template.jinja").write_text(CHATML)
    asked, not_asked = (scene_of(path, *words) for words in ((), ("--stop_at_turn_end", "false")))
    assert turn_of(asked.config, asked.model) == Turn("<|im_end|>", 11, ("<|endoftext|>",))
    assert turn_of(not_asked.config, not_asked.model) is None


def test_verl_gets_it_where_rollouts_look_for_it() -> None:
    from omegaconf import OmegaConf
    from verl.utils.config import omega_conf_to_dataclass

    config = compose(parse([], {}), "cpu")
    facts = Facts("cpu", 2, 24.0, 4096, 260, "m", "run", "/checkpoints", turn_end=11)
    filled = fill(config, derive(config.verl, facts))
    assert get(filled.verl, STOP_IDS) == [11]
    rollout = OmegaConf.create(filled.verl).actor_rollout_ref.rollout
    assert omega_conf_to_dataclass(rollout).custom["stop_token_ids"] == [11]


# ---- what a checkpoint keeps ---------------------------------------------------------------


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Path]:
    """A base, and what transformers made of it in a checkpoint."""
    generation = {"eos_token_id": 10, "temperature": 0.7, "do_sample": False}  # "invalid"
    base = folder(tmp_path / "base", 10, generation)
    (base / "tokenizer_config.json").write_text('{"eos_token":"<|endoftext|>", "x": 1}')
    small = tmp_path / "huggingface"
    small.mkdir()
    (small / "config.json").write_text("{}")
    (small / "tokenizer.json").write_text("{}")
    (small / "tokenizer_config.json").write_text('{"tokenizer_class": "TokenizersBackend"}')
    (small / "special_tokens_map.json").write_text("{}")
    return base, small


@pytest.mark.parametrize(("stops", "ends"), [((), 10), ((11,), [10, 11]), ((10,), [10])])
def test_a_checkpoint_has_the_models_own_tokenizer_and_ends(
    published: tuple[Path, Path], stops: tuple[int, ...], ends: Any
) -> None:
    base, small = published
    as_published(small, base, stops)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (small / name).read_bytes() == (base / name).read_bytes()
    assert not (small / "special_tokens_map.json").exists()
    told = json.loads((small / "generation_config.json").read_text())
    assert told == {"eos_token_id": ends, "temperature": 0.7, "do_sample": False}
    if not stops:
        same = (base / "generation_config.json").read_bytes()
        assert (small / "generation_config.json").read_bytes() == same


def test_a_model_without_ends_of_its_own_file_gets_one_for_the_added_end(
    published: tuple[Path, Path],
) -> None:
    base, small = published
    (base / "generation_config.json").unlink()
    as_published(small, base)
    assert not (small / "generation_config.json").exists()
    as_published(small, base, [11])
    assert json.loads((small / "generation_config.json").read_text()) == {"eos_token_id": [10, 11]}


def test_a_template_that_the_run_set_stays(published: tuple[Path, Path]) -> None:
    base, small = published
    (small / "chat_template.jinja").write_text(PLAIN)
    as_published(small, base)
    assert (small / "chat_template.jinja").read_text() == PLAIN
    (base / "tokenizer_config.json").write_text(json.dumps({"chat_template": PLAIN}))
    as_published(small, base)
    assert not (small / "chat_template.jinja").exists()
