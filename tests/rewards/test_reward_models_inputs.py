"""What a reward model is given to read: template, special tokens, truncation."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.models.inputs import Inputs
from rewards.models.probe import Probe, probe
from rewards.models.profiles import LLAMA3_ANSWER, Profile, profile_for
from rewards.models.turns import question_and_answer
from rewards.part import Failure
from tests.reward_models import (
    LLAMA3,
    bert_tokenizer,
    gpt2_tokenizer,
    llama3_tokenizer,
    make,
    roberta_tokenizer,
)

USER = [{"role": "user", "content": "Name a river."}]
CHAT = Probe("LlamaForSequenceClassification", "transformers", "classify", "chat", 64, Profile())
PAIR = replace(CHAT, input="pair", is_encoder=True, profile=Profile(truncate="longest"))
GATED = replace(CHAT, profile=profile_for("", "LlamaForRewardModelWithGating"))
LLAMA = llama3_tokenizer()
BEGIN, END = LLAMA.bos_token_id, LLAMA.eos_token_id


def text(ids: list[int], tokenizer: Any = LLAMA) -> str:
    return tokenizer.decode(ids)


def chat(messages: list[dict[str, Any]], response: str, **profile: Any) -> str:
    found = Inputs(LLAMA, replace(CHAT, max_length=4096, profile=Profile(**profile)))
    return text(found.encode(messages, response).input_ids)


def test_a_conversation_is_written_by_the_models_own_template_with_one_beginning() -> None:
    expected = LLAMA.apply_chat_template(
        [*USER, {"role": "assistant", "content": "The Rhine."}], tokenize=False
    )
    assert chat(USER, "The Rhine.") == expected
    assert expected.count(LLAMA3[0]) == 1


def test_a_template_that_begins_twice_is_mended() -> None:
    tokenizer = llama3_tokenizer()
    tokenizer.chat_template = "<|begin_of_text|>" + tokenizer.chat_template
    ids = Inputs(tokenizer, CHAT).encode(USER, "x").input_ids
    assert ids.count(BEGIN) == 1


def test_system_messages_stay_unless_the_model_was_trained_without() -> None:
    system = {"role": "system", "content": "Be brief."}
    assert "Be brief." in chat([system, *USER], "x")
    assert chat([system, *USER], "x", drop_system=True) == chat(USER, "x")
    assert "Be brief." in chat([system], "x", drop_system=True)  # there is no other prompt


def test_a_template_without_a_system_role_has_it_read_by_the_user() -> None:
    tokenizer = llama3_tokenizer()
    refusal = (
        "{%- if messages[0]['role'] == 'system' -%}{{ raise_exception('no system') }}{%- endif -%}"
    )
    tokenizer.chat_template = refusal + tokenizer.chat_template
    messages = [{"role": "system", "content": "Be brief."}, *USER]
    ids = Inputs(tokenizer, CHAT).encode(messages, "x").input_ids
    assert "user<|end_header_id|>\n\nBe brief.\n\nName a river.<|eot_id|>" in text(ids)


def test_what_a_template_refuses_altogether_is_a_failure() -> None:
    tokenizer = llama3_tokenizer()
    tokenizer.chat_template = "{{ raise_exception('roles must alternate') }}"
    with pytest.raises(Failure, match="roles must alternate"):
        Inputs(tokenizer, CHAT).encode(USER, "x")


def test_a_response_continues_an_answer_that_the_prompt_began() -> None:
    begun = {"role": "assistant", "content": "The "}
    assert chat([*USER, begun], "Rhine.") == chat(USER, "The Rhine.")


def test_content_in_parts_is_its_text() -> None:
    parts = [{"type": "text", "text": "Name a"}, {"type": "image"}, {"type": "text", "text": "b."}]
    assert "Name a\n\nb." in chat([{"role": "user", "content": parts}], "x")


@pytest.mark.parametrize("messages", [[], [{"role": "assistant", "content": "begun"}]])
def test_a_row_without_a_prompt_is_a_failure(messages: list[dict[str, str]]) -> None:
    with pytest.raises(Failure, match="has no prompt"):
        chat(messages, "x")


SPELLED = st.lists(st.sampled_from([*LLAMA3, "<|eot", "_id|>", "assistant", "\n\n", "hi"]))


@settings(max_examples=60, deadline=None)
@given(SPELLED.map("".join), SPELLED.map("".join))
def test_no_text_forges_a_turn(prompt: str, response: str) -> None:
    messages = [{"role": "user", "content": prompt}]
    ids = Inputs(LLAMA, replace(GATED, max_length=4096)).encode(messages, response).input_ids
    assert (ids.count(BEGIN), ids.count(END)) == (1, 2)
    assert text(ids).count(LLAMA3_ANSWER) == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 150), st.integers(0, 150), st.integers(48, 200))
def test_truncation_keeps_to_the_limit_and_keeps_both_ends(
    prompt: int, response: int, limit: int
) -> None:
    messages = [{"role": "user", "content": "p" * prompt}]
    whole = len(
        Inputs(LLAMA, replace(CHAT, max_length=4096)).encode(messages, "r" * response).input_ids
    )
    for made in (CHAT, GATED):
        found = Inputs(LLAMA, replace(made, max_length=limit)).encode(messages, "r" * response)
        assert found.truncated == (whole > limit)
        assert len(found.input_ids) == min(whole, limit)
        assert (found.input_ids[0], found.input_ids[-1]) == (BEGIN, END)
        assert made is CHAT or (found.gate is not None and found.input_ids[found.gate] == END)


def test_a_chat_loses_its_start_and_a_gated_model_the_end_of_the_response() -> None:
    messages, response = [{"role": "user", "content": "first " * 8}], "1234567890" * 9
    left = text(Inputs(LLAMA, replace(CHAT, max_length=80)).encode(messages, response).input_ids)
    assert left == f"<|begin_of_text|>{response[-78:]}<|eot_id|>"
    gated = Inputs(LLAMA, replace(GATED, max_length=120)).encode(messages, response)
    kept = text(gated.input_ids)
    assert kept.endswith(f"{'first ' * 8}{LLAMA3_ANSWER}{response[:48]}<|eot_id|>")
    assert text(gated.input_ids[gated.gate :]).startswith(LLAMA3_ANSWER)


def test_a_gated_model_given_a_far_too_long_prompt_still_reads_the_answer() -> None:
    messages = [{"role": "user", "content": "p" * 900}]
    kept = text(Inputs(LLAMA, replace(GATED, max_length=100)).encode(messages, "yes").input_ids)
    assert kept.startswith("<|begin_of_text|>ppp")
    assert kept.endswith(f"{LLAMA3_ANSWER}yes<|eot_id|>")


def test_a_model_that_reads_at_a_token_of_its_own_is_given_it_once() -> None:
    inputs = Inputs(LLAMA, replace(CHAT, ending=7))
    assert inputs.encode(USER, "x").input_ids[-2:] == [END, 7]
    long = inputs.encode(USER, "x" * 200)
    assert len(long.input_ids) == 64 and long.input_ids[-2:] == [END, 7]


def test_a_pair_is_the_question_and_the_answer_as_plain_text() -> None:
    bert, roberta, gpt2 = bert_tokenizer(), roberta_tokenizer(), gpt2_tokenizer()
    found = Inputs(bert, PAIR).encode(USER, "The Rhine.")
    assert text(found.input_ids, bert) == "[CLS]Name a river.[SEP]The Rhine.[SEP]"
    assert found.token_type_ids == [0] * 15 + [1] * 11
    ids = Inputs(roberta, PAIR).encode(USER, "The Rhine.").input_ids
    assert text(ids, roberta) == "<s>Name a river.</s></s>The Rhine.</s>"
    plain = Inputs(gpt2, PAIR).encode(USER, "The <|endoftext|>Rhine.")
    assert text(plain.input_ids, gpt2) == "Name a river.The Rhine."
    assert plain.token_type_ids is None


def test_several_turns_are_joined_with_labels() -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Name a river."},
        {"role": "assistant", "content": "Nile"},
    ]
    question = "Be brief.\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Name a river."
    assert question_and_answer(turns) == (question, "Nile")
    assert question_and_answer([turns[0], turns[1], turns[4]]) == ("Be brief.\n\nHi", "Nile")


@pytest.mark.parametrize(("question", "answer"), [(100, 20), (20, 100)])
def test_of_a_pair_the_longer_side_is_cut(question: int, answer: int) -> None:
    bert = bert_tokenizer()
    messages = [{"role": "user", "content": "q" * question}]
    found = Inputs(bert, PAIR).encode(messages, "a" * answer)
    kept = text(found.input_ids, bert)
    assert found.truncated and len(found.input_ids) == 64 == len(found.token_type_ids or [])
    assert (kept.count("q"), kept.count("a")) == ((41, 20) if question > answer else (20, 41))
    whole = Inputs(bert, PAIR).encode([{"role": "user", "content": "q"}], "a")
    assert not whole.truncated and len(whole.input_ids) == 5  # nothing of the last call stays


def test_starling_reads_the_llama_2_template() -> None:
    roberta = roberta_tokenizer()  # has <s> and </s>
    inputs = Inputs(roberta, replace(CHAT, input="llama2"))
    ids = inputs.encode([{"role": "user", "content": "Hello?"}], "Hi, how are you?").input_ids
    assert text(ids, roberta) == "<s>[INST] Hello? </s> [/INST] Hi, how are you?</s>"
    system = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello?"}]
    ids = inputs.encode(system, "Hi").input_ids
    assert text(ids, roberta) == "<s>[INST] Be kind.\n\nHello? </s> [/INST] Hi</s>"


def test_the_probe_of_a_folder_and_its_tokenizer_fit_each_other(tmp_path: Path) -> None:
    folder = make(tmp_path / "Skywork-Reward-V2-Tiny", "LlamaForSequenceClassification")
    found = Inputs(LLAMA, probe(folder))
    system = {"role": "system", "content": "Be brief."}
    assert found.encode([system, *USER], "x") == found.encode(USER, "x")
