"""Real exports of checkpoints that are written here, by FSDP2's own code: what comes out is the
model that went in, for each family, number of ranks and kind of weights; damage is refused."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer

from tests.saved_run import save_role, save_run, trained
from verlaunch.machine import disk
from verlaunch.record.checkpoints.manifest import write_manifest
from verlaunch.tools.export import command
from verlaunch.weights import hub_folder

pytestmark = pytest.mark.slow

IDS = torch.tensor([[5, 9, 13, 21, 34, 55]])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small are faster without several, above all beside other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model.eval()(IDS).logits


def folder(kind: Any, path: Path, **options: Any) -> Any:
    return kind.from_pretrained(path, **options)


@pytest.mark.parametrize(
    ("family", "ranks"), [("tiny_qwen2", 2), ("tiny_qwen3", 3), ("tiny_llama", 1)]
)
def test_policy_and_critic_come_out_as_they_were_trained(
    family: str, ranks: int, request: pytest.FixtureRequest, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = tmp_path / "outputs"
    policy, value = save_run(run, request.getfixturevalue(family), ranks=ranks)
    assert command.main([str(run)]) == 0
    out = run / "exported" / "step_7"
    loaded = folder(AutoModelForCausalLM, out / "actor")
    assert torch.allclose(logits(loaded), logits(policy), atol=1e-6)
    critic = folder(AutoModelForTokenClassification, out / "critic")
    assert critic.num_labels == 1
    assert torch.allclose(logits(critic), logits(value), atol=1e-6)
    assert AutoTokenizer.from_pretrained(out / "actor").chat_template
    said = capsys.readouterr().out
    assert "'0+2='" in said and "answers" in said
    assert said.count("differ from the training shards' by at most") == 2


def test_lora_is_merged_and_its_adapter_alone_does_the_same(
    tiny_qwen3: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    run, base = tmp_path / "outputs", tmp_path / "base"
    policy, _ = save_run(run, tiny_qwen3, ranks=2, lora=True, critic=False)
    trained(tiny_qwen3).save_pretrained(base)  # what the adapter was trained on
    AutoTokenizer.from_pretrained(tiny_qwen3).save_pretrained(base)
    config = (run / "config.yaml").read_text().replace(str(tiny_qwen3), str(base))
    (run / "config.yaml").write_text(config)

    assert command.main([str(run), str(tmp_path / "merged")]) == 0
    merged = folder(AutoModelForCausalLM, tmp_path / "merged" / "actor")
    assert torch.allclose(logits(merged), logits(policy), atol=1e-5)
    assert not torch.allclose(logits(merged), logits(trained(tiny_qwen3)), atol=1e-2)

    assert command.main([str(run), str(tmp_path / "alone"), "--adapter"]) == 0
    alone = tmp_path / "alone" / "adapter"
    adapted = PeftModel.from_pretrained(folder(AutoModelForCausalLM, base), alone)
    assert torch.allclose(logits(adapted), logits(policy), atol=1e-5)
    settings = json.loads((alone / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"]) == (4, 8)
    assert settings["base_model_name_or_path"] == str(base)
    assert "library_name: peft" in (alone / "README.md").read_text()
    assert not (alone / "config.json").exists()


def test_weights_are_rounded_when_asked_and_when_the_base_model_is(
    tiny_llama: Path, tmp_path: Path
) -> None:
    run = tmp_path / "outputs"
    policy, _ = save_run(run, tiny_llama, critic=False)

    def exported(name: str, *words: str) -> Any:
        assert command.main([str(run), str(tmp_path / name), *words]) == 0
        return folder(AutoModelForCausalLM, tmp_path / name / "actor", dtype="auto")

    asked = exported("asked", "--dtype", "bfloat16")
    assert asked.dtype == torch.bfloat16
    error = (logits(asked.float()) - logits(policy)).abs().max()
    assert 0 < error < 2e-2 * logits(policy).abs().max()

    published = tmp_path / "published"
    shutil.copytree(tiny_llama, published)
    facts = json.loads((published / "config.json").read_text()) | {"dtype": "bfloat16"}
    (published / "config.json").write_text(json.dumps(facts))
    config = (run / "config.yaml").read_text().replace(str(tiny_llama), str(published))
    (run / "config.yaml").write_text(config)
    assert exported("kept").dtype == torch.bfloat16
    assert exported("whole", "--dtype", "float32").dtype == torch.float32


def test_a_large_model_is_written_in_several_files(
    tiny_qwen2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, _ = save_run(tmp_path / "outputs", tiny_qwen2, ranks=2, critic=False)
    monkeypatch.setattr(hub_folder, "MOST_BYTES", 100_000)
    assert command.main([str(tmp_path / "outputs"), str(tmp_path / "out")]) == 0
    files = sorted((tmp_path / "out" / "actor").glob("model-*.safetensors"))
    assert len(files) > 1 and max(file.stat().st_size for file in files) < 110_000
    loaded = folder(AutoModelForCausalLM, tmp_path / "out" / "actor")
    assert torch.allclose(logits(loaded), logits(policy), atol=1e-6)


def test_experts_are_stored_as_their_family_stores_them(tiny_llama: Path, tmp_path: Path) -> None:
    """Qwen3-MoE trains all experts of a layer as one tensor and publishes each by itself."""
    from safetensors import safe_open
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    base = tmp_path / "moe"
    config = Qwen3MoeConfig(
        vocab_size=260, hidden_size=64, intermediate_size=64, moe_intermediate_size=32,
        num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2, head_dim=32,
        num_experts=4, num_experts_per_tok=2,
    )  # fmt: skip
    Qwen3MoeForCausalLM(config).save_pretrained(base)
    AutoTokenizer.from_pretrained(tiny_llama).save_pretrained(base)
    policy, _ = save_run(tmp_path / "outputs", base, ranks=2, critic=False)
    assert command.main([str(tmp_path / "outputs"), str(tmp_path / "out")]) == 0
    with safe_open(tmp_path / "out" / "actor" / "model.safetensors", "pt") as weights:
        assert "model.layers.0.mlp.experts.3.down_proj.weight" in weights.keys()  # noqa: SIM118
    loaded = folder(AutoModelForCausalLM, tmp_path / "out" / "actor")
    assert torch.allclose(logits(loaded), logits(policy), atol=1e-5)


def test_a_checkpoint_folder_alone_exports_too(tiny_qwen2: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "copied" / "global_step_3"
    policy = trained(tiny_qwen2)
    save_role(checkpoint / "actor", policy, tiny_qwen2, ranks=1)
    write_manifest(checkpoint, step=3, ranks=1)
    assert command.main([str(checkpoint), str(tmp_path / "out")]) == 0
    loaded = folder(AutoModelForCausalLM, tmp_path / "out" / "actor")
    assert torch.allclose(logits(loaded), logits(policy), atol=1e-6)
    assert not (tmp_path / "out" / "critic").exists()


@pytest.fixture
def two_ranks(tiny_qwen2: Path, tmp_path: Path) -> Path:
    save_run(tmp_path / "outputs", tiny_qwen2, ranks=2, critic=False)
    return tmp_path / "outputs" / "checkpoints" / "global_step_7" / "actor"


def refused(run: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and message of an export that leaves nothing behind."""
    out = run.parent / "refused"
    code = command.main([str(run), str(out), *words])
    assert not out.exists() and not list(run.parent.glob(".refused*"))
    return code, capsys.readouterr().err


def test_a_shard_in_another_ranks_place_is_refused_by_its_hash(
    two_ranks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (two_ranks / f"model_world_size_2_rank_{rank}.pt" for rank in range(2))
    held = first.read_bytes()
    shutil.copy(second, first)
    second.write_bytes(held)
    code, said = refused(two_ranks.parents[2], capsys)
    assert code == 2 and "has a damaged actor/" in said


def test_a_shard_of_another_model_is_refused(
    two_ranks: Path, tiny_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_role(tmp_path / "other", trained(tiny_llama), tiny_llama, ranks=3)
    shutil.copy(tmp_path / "other" / "model_world_size_3_rank_1.pt",
                two_ranks / "model_world_size_2_rank_1.pt")  # fmt: skip
    write_manifest(two_ranks.parent, 7, 2)  # as if it had been saved so
    code, said = refused(two_ranks.parents[2], capsys)
    assert code == 1 and "different weights" in said


def test_pieces_that_do_not_fit_together_are_refused(
    two_ranks: Path, tiny_qwen2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_role(tmp_path / "other", trained(tiny_qwen2), tiny_qwen2, ranks=3)
    shutil.copy(tmp_path / "other" / "model_world_size_3_rank_1.pt",
                two_ranks / "model_world_size_2_rank_1.pt")  # fmt: skip
    write_manifest(two_ranks.parent, 7, 2)
    code, said = refused(two_ranks.parents[2], capsys)
    assert code == 1 and "The files are not of one checkpoint" in said


def test_an_export_that_differs_from_the_shards_is_refused(
    two_ranks: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of the writer, here two ranks' pieces joined the wrong way round."""
    from verlaunch.weights.shards import Shards

    right = Shards.__getitem__

    def wrong(shards: Shards, name: str) -> torch.Tensor:
        whole = right(shards, name)
        return whole.flip(0) if name == "model.layers.1.mlp.up_proj.weight" else whole

    monkeypatch.setattr(Shards, "__getitem__", wrong)
    code, said = refused(two_ranks.parents[2], capsys)
    assert code == 1 and "exported logits differ" in said and "Nothing was written" in said


def test_a_full_disk_is_said_and_leaves_nothing(
    two_ranks: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = two_ranks.parents[2]

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(hub_folder, "_stream", full)
        code, said = refused(run, capsys)
        assert code == 2 and "its disk is full. Nothing was left there" in said

    usage = shutil.disk_usage(run)._replace(free=1000)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: usage)
    code, said = refused(run, capsys)
    assert code == 2 and "has 1.0 kB free and the export takes" in said


def test_an_adapter_is_asked_of_a_run_without_one(
    two_ranks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = refused(two_ranks.parents[2], capsys, "--adapter")
    assert code == 1 and "has no LoRA adapter. Leave --adapter out." in said
