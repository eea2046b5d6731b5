"""The plan shows what the model reads, and what its template refuses."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from verlaunch.inputs.data.look import Look, quick_look
from verlaunch.inputs.data.sources import sources
from verlaunch.inputs.models import Model
from verlaunch.plan.prompts import example, refused

NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('System role\n not supported') }}"
    "{% endif %}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
)
NOTHING: dict[str, object] = {}


@pytest.fixture
def model(tmp_path: Path) -> Model:
    """Its tokenizer makes small letters of all."""
    tokenizer = Tokenizer(models.WordLevel({"<user>": 0, "which": 1, "?": 2, "[UNK]": 3}, "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_tokens(["<user>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    settings = json.dumps({"chat_template": NO_SYSTEM})
    (tmp_path / "tokenizer_config.json").write_text(settings)
    return Model("mine", "Qwen2ForCausalLM", 4, None, tmp_path)


def look(tmp_path: Path, *rows: dict) -> Look:
    (tmp_path / "data.json").write_text(json.dumps(rows))
    return quick_look(sources(str(tmp_path / "data.json")))


PLAIN, SYSTEM = {"prompt": "Which ?", "answer": "1"}, {"prompt": "Which ?", "system": "Be brief."}


def test_the_prompt_is_shown_as_its_tokens_decode(tmp_path: Path, model: Model) -> None:
    assert example(NOTHING, model, look(tmp_path, SYSTEM, PLAIN)) == "<user> which ?"


def test_the_template_tells_in_its_own_words_what_share_it_refuses(
    tmp_path: Path, model: Model
) -> None:
    (some,) = refused(NOTHING, model, look(tmp_path, SYSTEM, PLAIN, PLAIN))
    assert not some.stops
    assert some.text.startswith("1 of 3 rows looked at are refused by the chat template of mine "
                                '("System role not supported"): they are left out.')  # fmt: skip
    (every,) = refused(NOTHING, model, look(tmp_path, SYSTEM, SYSTEM))
    assert every.stops and every.text.startswith("2 of 2 rows looked at are refused")
    assert refused(NOTHING, model, look(tmp_path, PLAIN)) == []


def test_nothing_is_said_of_a_model_that_is_not_here(tmp_path: Path) -> None:
    away = Model("org/name-that-is-not-here", "Qwen2ForCausalLM", 4, None, None)
    found = look(tmp_path, SYSTEM)
    assert (example(NOTHING, away, found), refused(NOTHING, away, found)) == (None, [])
