"""What names a secret, and where it is hidden."""

import pytest

from verlaunch.machine.scrub import HIDDEN, hide, hide_value
from verlaunch.machine.variables import LIBRARIES, TRACKERS, is_secret, shown, to_hand


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "MY_KEY_ID", "openai_key", "WANDB_API_KEY", "PGPASSWORD", "SWANLAB_HEADERS"],
)
def test_a_variable_with_such_a_word_is_secret(name: str) -> None:
    assert is_secret(name)
    assert shown({name: "x"}) == {}


@pytest.mark.parametrize("name", ["TOKENIZERS_PARALLELISM", "NCCL_DEBUG", "HF_HOME"])
def test_others_are_shown(name: str) -> None:
    assert not is_secret(name)
    assert shown({name: "x"}) == {name: "x"}


def test_libraries_travel_and_trackers_stay_at_node_0() -> None:
    assert len(to_hand({f"{begin}X": "1" for begin in LIBRARIES})) == len(LIBRARIES)
    assert to_hand({f"{begin}X": "1" for begin in TRACKERS}) == {}
    assert to_hand({"NCCL_SOCKET_IFNAME": "eth0", "MASTER_PORT": "1", "HOME": "/root"}) == {}


@pytest.mark.parametrize("key", ["judge.api_key", "a.hf_token", "x.password", "s3.access_key_id"])
def test_a_setting_of_a_secret_shows_whether_it_is_set(key: str) -> None:
    assert hide_value(key, "abc") == HIDDEN
    assert hide_value(key, "null") == "null"


@pytest.mark.parametrize("key", ["data.prompt_key", "max_tokens", "tokenizer", "eos_token"])
def test_keys_and_tokens_that_are_no_secret_are_shown(key: str) -> None:
    assert hide_value(key, "question") == "question"
    assert hide(f"{key}=question") == f"{key}=question"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("./train.sh judge.api_key='two words' a=1", "./train.sh judge.api_key='***' a=1"),
        ('x.password="p\'w" --lr 1', 'x.password="***" --lr 1'),
        ("hf_token=ab --lr 1", "hf_token=*** --lr 1"),
        ("--rm_base_url http://me:pw@host/v1?api_key=abc", "--rm_base_url http://***@host/v1?api_key=***"),
    ],
)  # fmt: skip
def test_a_command_is_shown_without_its_secrets(text: str, said: str) -> None:
    assert hide(text) == said
    assert hide(said) == said
