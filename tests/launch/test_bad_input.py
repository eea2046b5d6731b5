"""What bad input gets: one message on standard error, exit code 2, and nothing half written.

Each is typed as a user would, at the command itself. Nothing here starts Ray: whatever can be
known is known before. Ports are not among them, since Ray takes free ones by itself.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.wrong_inputs import type_here

ROWS = [{"prompt": f"{i}+1=", "ground_truth": str(i + 1), "data_source": "math_reasoning"}
        for i in range(40)]  # fmt: skip
NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}


class Place:
    """A folder with good data and a good model, where a user types."""

    def __init__(self, folder: Path, model: Path, cache: Path) -> None:
        self.folder, self.model, self.cache = folder, model, cache
        self.outputs = folder / "outputs"
        self.write("good.json", json.dumps(ROWS))

    def write(self, name: str, content: str | bytes) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (self.folder / name).write_bytes(data)

    def type(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """In this process, which is faster; variables of the hub count from the first import on."""
        if any(name.startswith("HF_") for name in env):
            return self.type_at_a_process(*words, **env)
        environ = {**os.environ, "VERLAUNCH_CACHE": str(self.cache), **env}
        return type_here(words, self.folder, environ)

    def type_at_a_process(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "verlaunch", *words],
            cwd=self.folder, capture_output=True, text=True, timeout=120,
            env={**os.environ, "VERLAUNCH_CACHE": str(self.cache), **env},
        )  # fmt: skip

    def refusal(self, *words: str, **env: str) -> str:
        """The one message; fails when there is more, or anything was written."""
        done = self.type(*words, **env)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr + done.stdout
        assert done.stderr.startswith("error: "), done.stderr
        assert done.stderr.count("error: ") == 1 and done.stderr.count("\n") == 1, done.stderr
        assert self.written() <= {"outputs", "outputs/logs", "outputs/logs/lock"}
        return done.stderr

    def refusal_of_data(self, data: str, *words: str, **env: str) -> str:
        return self.refusal("--model", str(self.model), "--data", data, *words, **env)

    def written(self) -> set[str]:
        found = [self.outputs, *self.outputs.rglob("*")] if self.outputs.exists() else []
        return {str(path.relative_to(self.folder)) for path in found}


@pytest.fixture
def place(tmp_path: Path, tiny_qwen2: Path, cache: Path) -> Place:
    return Place(tmp_path, tiny_qwen2, cache)


# ---- flags ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--bacth_size 4", "--bacth_size is not a flag. Did you mean --batch_size?"),
        ("--lr fast", "--lr fast: takes a number above 0"),
        ("--steps 1.5", "--steps 1.5: takes a whole number"),
        ("--hardware tpu", "--hardware tpu: takes one of cpu, gpu"),
        ("--use_api_reward=maybe", "takes true or false"),
        ("data.max_prompt_lenght=5", "data.max_prompt_length"),
        ("--recipe nope", "nope"),
        ("--resume sometimes", "takes auto, never, or the folder of a complete checkpoint"),
    ],
)
def test_a_wrong_flag_or_value(place: Place, words: str, message: str) -> None:
    assert message in place.refusal(*words.split())


@pytest.mark.parametrize(
    "flag",
    ["batch_size", "mini_batch_size", "max_prompt_length", "max_response_length", "rollout_n",
     "ppo_epochs", "n_gpus", "tp_size", "epochs", "steps", "save_freq", "critic_epochs"],
)  # fmt: skip
@pytest.mark.parametrize("size", ["0", "-1"])
def test_a_size_of_nothing(place: Place, flag: str, size: str) -> None:
    assert f"--{flag} {size}: takes a whole number at least 1" in place.refusal(f"--{flag}", size)


def test_a_size_of_nothing_typed_as_verls_key(place: Place) -> None:
    message = place.refusal("data.train_batch_size=-4", "--dry_run")
    assert "data.train_batch_size=-4: takes a whole number of at least 1." in message


def test_validation_rows_of_nothing(place: Place) -> None:
    assert "--val_size" in place.refusal_of_data("good.json", "--val_size", "0")


# ---- models -----------------------------------------------------------------------------------


def test_a_model_folder_that_does_not_exist(place: Place) -> None:
    message = place.refusal("--model", "./no/model", "--data", "good.json")
    assert "--model ./no/model: no such folder." in message


def test_a_hub_that_cannot_be_reached(place: Place) -> None:
    words = ("--model", "org/model", "--data", "good.json")
    message = place.refusal(*words, **NO_HUB)
    assert "model org/model: the hub cannot be reached" in message and "--model FOLDER" in message
    message = place.refusal(*words, HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE is set" in message


def test_a_hub_dataset_that_cannot_be_reached(place: Place) -> None:
    message = place.refusal_of_data("org/data", **NO_HUB)
    assert "dataset org/data: the hub cannot be reached" in message


def test_a_critic_that_does_not_exist(place: Place) -> None:
    message = place.refusal_of_data("good.json", "--critic_model", "./nope")
    assert "--critic_model ./nope: no such folder." in message


def test_data_without_a_model_on_the_cpu(place: Place) -> None:
    message = place.refusal("--hardware", "cpu", "--data", "good.json")
    assert "--model FOLDER_OR_HUB_ID" in message


# ---- data -------------------------------------------------------------------------------------

GOOD = json.dumps(ROWS[0])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.json", "", "empty.json"),
        ("none.json", "[]", "none.json: no rows. A good row is {"),
        ("binary.json", bytes(range(256)) * 8, "binary.json"),
        ("binary.jsonl", bytes(range(256)) * 8, "binary.jsonl"),
        ("text.parquet", "not parquet", "text.parquet"),
        ("columns.json", '[{"a": "1+1=", "b": "2"}]', "columns.json"),
        ("line.jsonl", f'{GOOD}\n{GOOD}\n{{"prompt": \n{GOOD}\n', "line.jsonl:3"),
        ("array.json", f"[{GOOD},\n{GOOD},\n{{oops}}]", "array.json"),
        ("kind.json", json.dumps([row | {"data_source": "poetry"} for row in ROWS]), "poetry"),
        ("words.txt", "prompt", "words.txt"),
    ],
)
def test_data_that_cannot_be_used(
    place: Place, name: str, content: str | bytes, message: str
) -> None:
    place.write(name, content)
    assert message in place.refusal_of_data(name)


def test_a_data_file_that_does_not_exist(place: Place) -> None:
    message = place.refusal_of_data("god.json")
    assert "god.json not found" in message and "good.json" in message


def test_a_broken_line_beyond_the_first_look(place: Place) -> None:
    rows = [json.dumps(ROWS[0] | {"prompt": f"{i}+1="}) for i in range(12_000)]
    place.write("long.jsonl", "\n".join([*rows[:11_000], "{", *rows[11_000:]]) + "\n")
    assert "long.jsonl:11001" in place.refusal_of_data("long.jsonl")


def test_prompts_that_are_all_too_long(place: Place) -> None:
    message = place.refusal_of_data("good.json", "--max_prompt_length", "2")
    assert "good.json: none of 40 rows can be used: 40 x prompt too long" in message
    assert "Raise it: --max_prompt_length 7." in message


def test_a_batch_larger_than_the_data(place: Place) -> None:
    message = place.refusal_of_data("good.json", "--batch_size", "100")
    assert "--batch_size 100 is larger than the 38 training prompts." in message


def test_a_batch_larger_than_what_the_tokenizer_leaves(place: Place) -> None:
    long = [row | {"prompt": f"{'1+' * 99}{i}="} for i, row in enumerate(ROWS)]
    place.write("half.json", json.dumps([*ROWS, *long]))
    words = ("--batch_size", "60", "--max_prompt_length", "50")
    assert "larger than the 38 training prompts" in place.refusal_of_data("half.json", *words)


def test_a_reward_function_that_is_not_there(place: Place) -> None:
    message = place.refusal_of_data("good.json", "--reward_fn", "mine.py:score")
    assert "--reward_fn mine.py:score" in message


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--reward_model ./no/model", "no such folder"),
        ("--use_api_reward --rm_api_type claude", "ANTHROPIC_API_KEY"),
        ("--use_api_reward --rm_budget much", "--rm_budget"),
        ("--reward_mix rm_score=1", "--reward_model"),
        ("--reward_config nope.yaml", "nope.yaml cannot be read"),
        ("--rm_api_type opnai", "--rm_api_type opnai: takes one of dashscope, openai"),
        ("--rm_prompt_preset maths", "Did you mean math?"),
    ],
)
def test_a_reward_that_cannot_be(place: Place, words: str, said: str) -> None:
    no_key = {"ANTHROPIC_API_KEY": "", "CLAUDE_API_KEY": ""}
    assert said in place.refusal_of_data("good.json", *words.split(), **no_key)


def test_a_policy_in_place_of_a_reward_model(place: Place) -> None:
    message = place.refusal_of_data("good.json", "--reward_model", str(place.model), "--dry_run")
    assert "Qwen2ForCausalLM, which writes text and scores none" in message


def test_a_weight_for_a_part_that_nobody_knows(place: Place) -> None:
    place.write("mix.yaml", "composite_reward: {weights: {rule_score: 1, save_score: 0.5}}\n")
    message = place.refusal_of_data("good.json", "--reward_config", "mix.yaml")
    assert "mix.yaml: save_score is no part of this run" in message


def test_everything_wrong_is_told_at_once(place: Place) -> None:
    done = place.type("--model", "./nope", "--data", "nope.json", "--output_dir", "good.json")
    assert done.returncode == 2 and done.stderr.count("error: ") == 3


# ---- places -----------------------------------------------------------------------------------


def test_a_file_in_the_place_of_the_output_folder(place: Place) -> None:
    place.write("file", "mine")
    message = place.refusal_of_data("good.json", "--output_dir", "file")
    assert "file is a file. Name a folder." in message
    assert (place.folder / "file").read_text() == "mine"


@contextlib.contextmanager
def tiny_disk(folder: Path, options: str) -> Iterator[Path]:
    """A disk of its own, where this user may mount one; the test is left out elsewhere."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip("only root may mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    ("options", "reason"), [("size=64k", "No space left"), ("ro", "Read-only file system")]
)
def test_an_output_folder_that_is_full_or_read_only(
    place: Place, options: str, reason: str
) -> None:
    with tiny_disk(place.folder / "disk", options) as disk:
        message = place.refusal_of_data("good.json", "--output_dir", str(disk / "run"))
        assert list(disk.iterdir()) == []
    assert f"cannot be written ({reason}" in message and "--output_dir FOLDER" in message


@pytest.mark.parametrize("words", [("--model", "MODEL", "--data", "good.json"), ()])
def test_a_cache_that_cannot_be_written(place: Place, words: tuple[str, ...]) -> None:
    place.write("file", "")
    typed = [str(place.model) if word == "MODEL" else word for word in words]
    message = place.refusal("--hardware", "cpu", *typed, VERLAUNCH_CACHE=str(place.folder / "file"))
    assert "VERLAUNCH_CACHE=FOLDER" in message


def test_two_runs_in_one_output_folder(place: Place) -> None:
    hold = (
        "import sys; from pathlib import Path; from verlaunch.launch.folder import locked\n"
        "with locked(Path('outputs')): print(flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold], cwd=place.folder, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert other.stdout is not None and other.stdout.readline() == b"\n"
    message = place.refusal_of_data("good.json")
    assert f"Another run is using {place.outputs} (process {other.pid})" in message
    other.communicate()


@pytest.mark.parametrize("folder", ["missing", "good.json"])
def test_a_temporary_folder_that_cannot_be_used(place: Place, folder: str) -> None:
    temp = str(place.folder / folder)
    message = place.refusal_of_data("good.json", TMPDIR=temp)
    assert f"TMPDIR={temp} cannot be used" in message


def test_a_dry_run_of_good_input_writes_nothing(place: Place) -> None:
    done = place.type("--model", str(place.model), "--data", "good.json", "--dry_run")
    assert done.returncode == 0 and done.stderr == ""
    assert "38 training prompts" in done.stdout
    assert place.written() == set()
