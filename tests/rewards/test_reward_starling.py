"""Starling-RM-7B-alpha's conversion, on a tiny checkpoint of its layout: equal to the last bit."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
)

from rewards.models import convert as conversion
from rewards.models import starling
from rewards.models.convert import convert
from rewards.models.inputs import Inputs
from rewards.models.probe import probe
from rewards.models.weights import CannotConvert

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SPECIAL = ("<unk>", "<s>", "</s>")
VOCABULARY = 256 + len(SPECIAL)


def config() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.2,
    )


def weights() -> dict[str, torch.Tensor]:
    """As published: the Llama twice, once with the head that writes, and the value head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = LlamaModel(config()).half().state_dict()
        heads = {
            "model.lm_head.weight": torch.randn(VOCABULARY, 64).half(),
            "v_head.weight": torch.randn(1, 64).half(),
        }
    places = ("transformer.", "model.model.")
    twice = {place + name: tensor for place in places for name, tensor in body.items()}
    extra = {"transformer.rotary_emb.inv_freq": torch.ones(16)}
    return twice | heads | extra


@pytest.fixture(scope="module")
def llama2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with the three special tokens of Llama 2 in their places, over bytes."""
    pieces = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder = tmp_path_factory.mktemp("llama2")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    return folder


def published(folder: Path, *, legacy: bool = False, files: int = 1) -> Path:
    folder.mkdir()
    plain = config().to_dict() | {"architectures": [starling.PUBLISHED]}
    (folder / "config.json").write_text(json.dumps(plain))
    names = sorted(weights())
    for number in range(files):
        held = {name: weights()[name] for name in names[number::files]}
        end = "pt" if files == 1 else "bin"
        path = folder / f"starling-{number}.{end}"
        torch.save(held, path, _use_new_zipfile_serialization=not legacy)
    torch.save({"lr": 1e-6}, folder / "training_args.bin")
    return folder


def by_hand(batch: torch.Tensor) -> torch.Tensor:
    """The value head on the hidden state before the first padding, as the model card has it."""
    held = {name: tensor.float() for name, tensor in weights().items()}
    body = LlamaModel(config()).eval()
    body.load_state_dict({name: held[f"transformer.{name}"] for name in body.state_dict()})
    hidden = body(batch, attention_mask=(batch != 0).long()).last_hidden_state
    values = (hidden @ held["v_head.weight"].T)[..., 0]
    first = [(row == 0).nonzero() for row in batch]
    ends = [int(found[0]) if len(found) else batch.shape[1] for found in first]
    return torch.stack([row[end - 1] for row, end in zip(values, ends, strict=True)])


def padded() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    batch = torch.randint(1, VOCABULARY, (5, 60), generator=generator)
    for row, length in enumerate((1, 13, 40, 59, 60)):
        batch[row, length:] = 0
    return batch


@pytest.mark.parametrize(("files", "legacy"), [(1, False), (1, True), (3, False)])
@torch.no_grad()
def test_scores_are_the_published_ones_to_the_last_bit(
    files: int, legacy: bool, tmp_path: Path, llama2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "SHARD_BYTES", 50_000)
    source = published(tmp_path / "source", files=files, legacy=legacy)
    convert(source, tmp_path / "out", llama2)
    assert len(list((tmp_path / "out").glob("*.safetensors"))) > 1
    model, told = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "out", dtype=torch.float32, output_loading_info=True
    )
    assert not told["missing_keys"] and not told["unexpected_keys"]
    assert json.loads((tmp_path / "out/config.json").read_text())["dtype"] == "float16"
    batch = padded()
    found = model.eval()(batch, attention_mask=(batch != 0).long()).logits[:, 0]
    assert (found - by_hand(batch)).abs().max() == 0.0
    assert found.std() > 0.1


def test_the_command_makes_a_folder_that_is_a_reward_model(tmp_path: Path, llama2: Path) -> None:
    source, out = published(tmp_path / "source"), tmp_path / "out"
    command = [sys.executable, "-m", "verlaunch", "convert", str(source), str(out)]
    done = subprocess.run(
        [*command, "--tokenizer", str(llama2)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and f"./train.sh --reward_model {out}" in done.stdout
    found = probe(out)
    assert (found.architecture, found.backend, found.max_length) == (
        "LlamaForSequenceClassification",
        "vllm",
        2048,
    )
    tokenizer = AutoTokenizer.from_pretrained(out)
    ids = Inputs(tokenizer, found).encode(
        [{"role": "user", "content": "Hello?"}], "Hi, how can I help you?"
    )
    written = tokenizer.decode(ids.input_ids)
    assert written == "<s>[INST] Hello? </s> [/INST] Hi, how can I help you?</s>"
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 2 and "exists already" in again.stderr


def spoil_config(folder: Path, **changes: object) -> None:
    plain = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(plain | changes))


def spoil_weights(folder: Path, change: Callable[[dict], object]) -> None:
    held = weights()
    change(held)
    torch.save(held, folder / "starling-0.pt")


class Thief:
    def __reduce__(self) -> tuple:
        return (print, ("this file runs code",))


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "converted": (
        lambda f: spoil_config(f, architectures=["LlamaForSequenceClassification"]),
        "already. Use it: --reward_model",
    ),
    "no family": (
        lambda f: spoil_config(f, model_type="starling"),
        "transformers knows no family 'starling'",
    ),
    "no weights": (lambda f: (f / "starling-0.pt").unlink(), "has no weights"),
    "no value head": (
        lambda f: spoil_weights(f, lambda held: held.pop("v_head.weight")),
        "of shape (1, 64), and it has none",
    ),
    "more heads": (
        lambda f: spoil_weights(f, lambda held: held.update(q_head=torch.ones(1))),
        "with unknown q_head",
    ),
    "other sizes": (
        lambda f: spoil_config(f, vocab_size=VOCABULARY + 1),
        "with other shapes than config.json says of model.embed_tokens.weight",
    ),
    "half a download": (
        lambda f: (f / "starling-0.pt").write_bytes((f / "starling-0.pt").read_bytes()[:1000]),
        "holds no plain weights",
    ),
    "code": (
        lambda f: (f / "starling-0.pt").write_bytes(pickle.dumps(Thief(), protocol=2)),
        "holds no plain weights",
    ),
    "no tensors": (
        lambda f: torch.save({"epoch": 3}, f / "starling-0.pt"),
        "holds more than named tensors",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_starling_is_refused_with_a_sentence_and_leaves_nothing(
    what: str, tmp_path: Path, llama2: Path, capfd: pytest.CaptureFixture
) -> None:
    source = published(tmp_path / "source")
    spoil, sentence = WRONG[what]
    spoil(source)
    with pytest.raises(CannotConvert) as caught:
        convert(source, tmp_path / "out", llama2)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert "runs code" not in capfd.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_missing_tokenizer_names_the_one_that_is_needed(tmp_path: Path) -> None:
    with pytest.raises(CannotConvert, match="Llama-2-7b-chat-hf: --tokenizer FOLDER"):
        convert(published(tmp_path / "source"), tmp_path / "out")
