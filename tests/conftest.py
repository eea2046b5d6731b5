"""Models for the tests: random weights, real architectures, a byte-level tokenizer with a template.

Heads of 32: vLLM's attention on the CPU takes no smaller size.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import composed_once, hosts, sizes_here
from tests.hosts import Hosts

NO_HUB = "http://127.0.0.1:9"
ON_MACHINES = ("needs", "network namespaces")
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}


def _save(folder: Path, config_class: str, model_class: str, sizes: dict[str, Any]) -> Path:
    import torch
    import transformers

    from verlaunch.inputs.demo.tokenizer import make_tokenizer

    tokenizer = make_tokenizer()
    tokens = {
        "vocab_size": len(tokenizer),
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = getattr(transformers, config_class)(**sizes, **tokens)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        getattr(transformers, model_class)(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def pytest_configure() -> None:
    os.environ["HF_ENDPOINT"] = NO_HUB  # no test downloads anything; read once, at the first import
    # Signals work in tests however they were started: a shell's background jobs ignore Ctrl-C, and
    # nohup ignores SIGHUP.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    composed_once.begin()
    sizes_here.begin()
    hypothesis.settings.register_profile("any machine", deadline=None)
    hypothesis.settings.load_profile("any machine")


@pytest.fixture
def machines(record_property: Callable[[str, Any], None]) -> Iterator[Callable[[int], Hosts]]:
    """`machines(2)`: two of them on this one, for the test that asks (tests/hosts.py)."""
    record_property(*ON_MACHINES)
    if why := hosts.why_not():
        pytest.skip(f"no machines of our own: {why}")
    with contextlib.ExitStack() as stack:
        yield lambda number: stack.enter_context(Hosts(number))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says whether the tests of several machines ran: a skip is easily overlooked."""
    asked = {
        (report.nodeid, report.when, report.outcome)
        for reports in terminalreporter.stats.values()
        for report in reports
        if ON_MACHINES in getattr(report, "user_properties", ())
    }
    ran = [nodeid for nodeid, when, outcome in asked if when == "call" and outcome != "skipped"]
    if len({nodeid for nodeid, _, _ in asked}) > len(ran):
        terminalreporter.write_line(f"network namespaces: not allowed here: {hosts.why_not()}")
    elif ran:
        terminalreporter.write_line(f"network namespaces: {len(ran)} tests ran")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For VERLAUNCH_CACHE: a process that asks for the sizes of a model takes seconds, and does it
    once for all tests."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"


@pytest.fixture(scope="session")
def tiny_qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {name: value for name, value in SIZES.items() if name != "head_dim"}
    return _save(tmp_path_factory.mktemp("qwen2"), "Qwen2Config", "Qwen2ForCausalLM", sizes)


@pytest.fixture(scope="session")
def tiny_qwen3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("qwen3"), "Qwen3Config", "Qwen3ForCausalLM", SIZES)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("llama"), "LlamaConfig", "LlamaForCausalLM", SIZES)
