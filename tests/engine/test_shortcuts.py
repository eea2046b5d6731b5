"""What verl cuts and sorts for nothing is left out, and everything else is as verl has it."""

import pytest
import torch
from tensordict import TensorDict
from verl.trainer.ppo.v1 import trainer_base
from verl.utils import tensordict_utils as tu
from verl.utils.seqlen_balancing import get_seqlen_balanced_partitions
from verl.workers.engine.fsdp import transformer_impl

from verlaunch.engine.training import shortcuts

ROWS = [[1, 2, 3], [4], [5, 6], [7, 8, 9]]  # 9 tokens


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (transformer_impl, "prepare_micro_batches"),
        (tu, "make_iterator"),
        (trainer_base, "get_seqlen_balanced_partitions"),
    ):
        monkeypatch.setattr(module, name, getattr(module, name))
    shortcuts.install()


def batch(**settings: object) -> TensorDict:
    parts = [torch.tensor(row) for row in ROWS]
    ids = torch.nested.as_nested_tensor(parts, layout=torch.jagged)
    data = TensorDict({"input_ids": ids, "index": torch.arange(4)}, 4)
    tu.assign_non_tensor(data, **{"use_dynamic_bsz": True, "max_token_len_per_gpu": 9, **settings})
    return data


def test_a_mini_batch_of_all_rows_comes_once_per_epoch(installed: None) -> None:
    data = batch()
    found = []
    for one in tu.make_iterator(data, mini_batch_size=4, epochs=3, seed=1, dataloader_kwargs={}):
        tu.assign_non_tensor(one, global_batch_size=4)
        found.append(one["index"].tolist())
    assert found == [[0, 1, 2, 3]] * 3
    assert "global_batch_size" not in data


def test_smaller_mini_batches_are_verls(installed: None) -> None:
    words = {"epochs": 2, "seed": 7, "dataloader_kwargs": {"shuffle": True}}
    ours = tu.make_iterator(batch(), mini_batch_size=2, **words)
    verls = shortcuts._make_iterator(batch(), mini_batch_size=2, **words)
    assert [one["index"].tolist() for one in ours] == [one["index"].tolist() for one in verls]


@pytest.mark.parametrize("ranks", [1, 2])
def test_ranks_get_the_partitions_that_verl_makes(installed: None, ranks: int) -> None:
    lengths = [3, 1, 2, 3]
    found = trainer_base.get_seqlen_balanced_partitions(
        lengths, k_partitions=ranks, equal_size=True
    )
    assert found == get_seqlen_balanced_partitions(lengths, ranks, equal_size=True)
