"""Hub datasets: folders that the datasets library wrote, and hubs that refuse or are far away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verlaunch.errors import UserError
from verlaunch.inputs.data import hub
from verlaunch.inputs.data.build import Settings
from verlaunch.inputs.data.look import quick_look
from verlaunch.inputs.data.prepare import prepare
from verlaunch.inputs.data.sources import Source, sources

datasets = pytest.importorskip("datasets")
ROWS = {"question": [f"{n}+1?" for n in range(40)], "answer": [f"#### {n + 1}" for n in range(40)]}


def test_saved_dataset_is_read_by_split(tmp_path: Path) -> None:
    data = datasets.Dataset.from_dict(ROWS)
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=data, test=data.select(range(3))).save_to_disk(tmp_path / "two")
    (one,) = sources(str(tmp_path / "one"))
    assert one.type == "saved"
    assert [row["answer"] for row in hub.saved_rows(one)] == ROWS["answer"]
    (test,) = sources([{"path": str(tmp_path / "two"), "split": "test"}])
    assert len(list(hub.saved_rows(test))) == 3
    with pytest.raises(UserError, match="no split 'dev'; it has: train, test"):
        list(hub.saved_rows(Source(str(tmp_path / "two"), "saved", split="dev")))


def test_saved_dataset_is_prepared(tmp_path: Path) -> None:
    datasets.Dataset.from_dict(ROWS).save_to_disk(tmp_path / "one")
    made = prepare(Settings(sources(str(tmp_path / "one"))), tmp_path / "cache")
    assert (made.train_rows, made.val_rows) == (38, 2)


def test_hub_loader_streams_a_repository_folder(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    datasets.Dataset.from_dict(ROWS).to_parquet(tmp_path / "repo" / "train.parquet")
    source = Source(str(tmp_path / "repo"), "hub")
    assert [row["question"] for row in hub._load(source)] == ROWS["question"]
    with pytest.raises(UserError, match=r"split nope.*org/name:configuration@split"):
        list(hub._load(Source(str(tmp_path / "repo"), "hub", split="nope")))


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot be reached"),
    ],
)
def test_hub_out_of_reach_is_one_message(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    clean = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    done = subprocess.run(
        [sys.executable, "-m", "verlaunch", "data", "--data", "some-org/some-data"],
        env={**clean, "VERLAUNCH_CACHE": str(tmp_path), "HF_HOME": str(tmp_path), **environment},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


def test_quick_look_names_hub_datasets_without_asking() -> None:
    look = quick_look(sources("some-org/some-data"))
    assert not look.exact and not look.problems and "some-org/some-data" in look.notes[0]
