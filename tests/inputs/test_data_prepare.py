"""From sources to verl's parquet: counts add up, splits are exact, faults leave nothing behind."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from verlaunch.errors import UserError
from verlaunch.inputs.data.build import Settings
from verlaunch.inputs.data.chat import DEFAULT_CHAT_TEMPLATE, Meter
from verlaunch.inputs.data.look import quick_look
from verlaunch.inputs.data.prepare import Prepared, prepare
from verlaunch.inputs.data.sources import sources

ROOT = Path(__file__).resolve().parents[2]


def rows(count: int, **more: object) -> list[dict]:
    return [
        {"prompt": f"What is {n} + 1?", "ground_truth": n + 1, "data_source": "math", **more}
        for n in range(count)
    ]


def write(path: Path, content: list) -> Path:
    path.write_text(json.dumps(content))
    return path


def run(tmp_path: Path, content: list, **settings: object) -> Prepared:
    found = sources(str(write(tmp_path / "a.json", content)))
    return prepare(Settings(found, **settings), tmp_path / "cache")


def prompts(file: Path) -> list[str]:
    return [row["prompt"][-1]["content"] for row in pq.read_table(file).to_pylist()]


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A byte-level tokenizer without a chat template: one token per byte."""
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: n for n, letter in enumerate(["<s>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder = tmp_path_factory.mktemp("model")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<s>").save_pretrained(folder)
    return str(folder)


def test_every_row_read_is_kept_or_counted(tmp_path: Path) -> None:
    bad = [{"prompt": 3}, {"prompt": ""}, {"other": 1}, "text", {"prompt": "\ud800"}]
    made = run(tmp_path, [*rows(100), *bad, *rows(10)])
    assert (made.train_rows, made.val_rows, made.read) == (95, 5, 115)
    assert sum(made.dropped.values()) == 15
    assert made.dropped["duplicate prompt"] == 10
    assert made.dropped["the prompt is a number, not text or messages"] == 1
    assert made.data_sources == {"math": 100}


def test_files_are_in_verls_layout(tmp_path: Path) -> None:
    made = run(tmp_path, rows(30, level=2), val_size=3)
    table = pq.read_table(made.train_file).to_pylist()
    first = next(row for row in table if row["extra_info"]["index"] == 0)
    number = int(first["reward_model"]["ground_truth"]) - 1
    assert first == {
        "data_source": "math",
        "prompt": [{"role": "user", "content": f"What is {number} + 1?"}],
        "reward_model": {"style": "rule", "ground_truth": str(number + 1)},
        "extra_info": {"index": 0, "split": "train", "level": 2},
    }
    assert {row["extra_info"]["split"] for row in pq.read_table(made.val_file).to_pylist()} == {
        "val"
    }


def test_split_is_exact_seeded_and_without_overlap(tmp_path: Path) -> None:
    made = [run(tmp_path, rows(200), val_size=17, seed=seed) for seed in (1, 2)]
    for one in made:
        train, val = prompts(one.train_file), prompts(one.val_file)
        assert (len(train), len(val)) == (183, 17)
        assert len({*train, *val}) == 200
    assert prompts(made[0].val_file) != prompts(made[1].val_file)
    again = prepare(
        Settings(sources(str(tmp_path / "a.json")), val_size=17, seed=1), tmp_path / "b"
    )
    assert prompts(again.val_file) == prompts(made[0].val_file)


def test_validation_prompts_leave_the_training_data(tmp_path: Path) -> None:
    train, val = write(tmp_path / "t.json", rows(50)), write(tmp_path / "v.json", rows(8))
    settings = Settings(sources(str(train)), sources(str(val)))
    made = prepare(settings, tmp_path / "cache")
    assert (made.train_rows, made.val_rows) == (42, 8)
    assert made.dropped == {"also in the validation data": 8}
    assert made.read == 58
    kept = prepare(Settings(sources(str(train)), sources(str(val)), overlap=True), tmp_path / "c")
    assert (kept.train_rows, kept.val_rows, kept.dropped) == (50, 8, {})


def test_columns_of_several_files_get_one_schema(tmp_path: Path) -> None:
    extra = [{"a": 1, "d": {"x": 1}}, {"a": 2.5, "b": "text"}, {"b": 3, "d": {"y": "z"}, "e": None}]
    files = [
        str(write(tmp_path / f"{n}.json", [{"prompt": f"{n} {k}?", **more} for k in range(9)]))
        for n, more in enumerate(extra)
    ]
    made = prepare(Settings(sources(files), val_size=1), tmp_path / "cache")
    table = [*pq.read_table(made.train_file).to_pylist(), *pq.read_table(made.val_file).to_pylist()]
    kept = {row["prompt"][0]["content"]: row["extra_info"] for row in table}
    assert pq.read_schema(made.train_file) == pq.read_schema(made.val_file)
    assert (kept["0 1?"]["a"], kept["0 1?"]["d"]) == (1.0, {"x": 1, "y": None})
    assert kept["1 1?"]["b"] == '"text"' and kept["2 1?"]["b"] == "3"
    assert "e" not in kept["2 1?"]


def test_a_column_of_numbers_and_words_is_kept_as_json(tmp_path: Path) -> None:
    made = run(tmp_path, [*rows(20, level=1)[:10], *rows(20, level="two")[10:]], val_size=1)
    levels = {row["extra_info"]["level"] for row in pq.read_table(made.train_file).to_pylist()}
    assert levels == {"1", '"two"'}


def test_same_content_and_settings_are_made_once(tmp_path: Path) -> None:
    first = run(tmp_path, rows(40))
    again = run(tmp_path, rows(40))
    assert (first.cached, again.cached) == (False, True)
    assert {**vars(again), "cached": False} == vars(first)
    assert not run(tmp_path, rows(41)).cached
    assert not run(tmp_path, rows(40), seed=2).cached


def test_damaged_cache_is_made_again(tmp_path: Path) -> None:
    first = run(tmp_path, rows(40))
    first.val_file.write_bytes(b"cut")
    again = run(tmp_path, rows(40))
    assert not again.cached and len(prompts(again.val_file)) == 2


def test_two_processes_may_prepare_the_same_data_at_once(tmp_path: Path) -> None:
    data = ROOT / "data" / "sample_math.json"
    env = {"VERLAUNCH_CACHE": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "verlaunch", "data", "--data", str(data)]
    both = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE) for _ in range(2)]
    assert [(one.communicate()[0] != b"", one.returncode) for one in both] == [(True, 0)] * 2
    (folder,) = (tmp_path / "data").iterdir()
    assert {file.name for file in folder.iterdir()} == {
        "train.parquet",
        "val.parquet",
        "meta.json",
    }


def test_long_prompts_are_counted_in_the_models_tokens(tmp_path: Path, base_model: str) -> None:
    content = [*rows(30), {"prompt": "x" * 500, "ground_truth": "1"}]
    made = run(tmp_path, content, model_path=base_model, max_prompt_length=64)
    assert made.dropped == {"prompt too long": 1}
    assert made.longest_prompt == len("User: What is 29 + 1?\nAssistant:")
    assert made.example_prompt.endswith("?\nAssistant:")
    assert "no chat template" in made.notes[0]
    own = run(tmp_path, content, model_path=base_model, chat_template="{{ messages[0].content }}")
    assert own.example_prompt == "What is 0 + 1?" and not own.dropped
    assert not any("template" in note for note in own.notes)


def test_default_template_renders_every_role(base_model: str) -> None:
    meter = Meter.load(base_model)
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2+3?"},
        {"role": "assistant", "content": "5"},
        {"role": "user", "content": "And 1?"},
    ]
    text = "Be brief.\n\nUser: 2+3?\nAssistant: 5\nUser: And 1?\nAssistant:"
    assert meter.tokenizer.chat_template == DEFAULT_CHAT_TEMPLATE
    assert meter.render([talk]) == [text]
    assert meter.lengths([talk]) == [len(text)]


def test_row_that_the_template_refuses_is_counted(tmp_path: Path, base_model: str) -> None:
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system\n role') }}{% endif %}"
        "{{ messages[0].content }}"
    )
    content = [*rows(10), {"prompt": "x", "system": "Be brief.", "ground_truth": "1"}]
    made = run(tmp_path, content, model_path=base_model, chat_template=template)
    assert made.dropped == {"refused by the chat template: no system role": 1}


def test_a_prompt_is_shown_as_its_tokens_decode(base_model: str) -> None:
    from tokenizers import normalizers

    meter = Meter.load(base_model)
    meter.tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\n", " ")
    talk = [{"role": "user", "content": "2 + 3 ?"}]
    assert meter.render([talk]) == ["User: 2 + 3 ?\nAssistant:"]
    assert meter.shown(talk) == "User: 2 + 3 ? Assistant:"


def test_prompts_all_too_long_tell_the_lengths(tmp_path: Path, base_model: str) -> None:
    with pytest.raises(UserError, match=r"shortest 31, median 32.*--max_prompt_length 32"):
        run(tmp_path, rows(30), model_path=base_model, max_prompt_length=8)


@pytest.mark.parametrize(
    ("content", "settings", "says"),
    [
        ([], {}, "no rows"),
        ([{"prompt": 1}] * 3, {}, r"none of 3 rows can be used: 3 x the prompt is a number"),
        ([{"ask": "a"}], {}, r"a\.json:1: .*Columns there: ask.*--prompt_key"),
        (rows(1), {}, "Only 1 different prompts"),
        (rows(5), {"val_size": 5}, "smaller --val_size"),
        (rows(5), {"val_size": 0}, "--val_size must be 1 or more"),
        (rows(5), {"max_prompt_length": -1}, "--max_prompt_length must be 1 or more"),
        (rows(5), {"model_path": "no such/folder at all"}, "no such folder"),
    ],
)
def test_faults_leave_nothing_behind(
    tmp_path: Path, content: list, settings: dict, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        run(tmp_path, content, **settings)
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.json", rows(20))
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="VERLAUNCH_CACHE"):
        prepare(Settings(sources(str(tmp_path / "a.json"))), tmp_path / "file")


def test_progress_counts_all_rows(tmp_path: Path) -> None:
    train, val = write(tmp_path / "t.json", rows(3000)), write(tmp_path / "v.json", rows(5))
    seen: list[int] = []
    prepare(Settings(sources(str(train)), sources(str(val))), tmp_path / "cache", seen.append)
    assert seen == sorted(seen) and seen[-1] == 3005 and len(seen) >= 3


def test_quick_look_finds_all_faults_without_a_tokenizer(tmp_path: Path) -> None:
    good, wrong = write(tmp_path / "a.json", rows(40)), write(tmp_path / "b.json", [{"ask": "x"}])
    (tmp_path / "c.jsonl").write_text('{"prompt": "a"}\n{broken\n')
    look = quick_look(sources([str(good), str(wrong), str(tmp_path / "c.jsonl")]))
    assert len(look.problems) == 2 and "b.json:1" in look.problems[0]
    assert "c.jsonl:2" in look.problems[1]
    assert len(look.first) == 8 and look.data_sources["math"] == 40
    few = quick_look(sources(str(good)), limit=10)
    assert (few.rows, few.exact) == (10, False)
    code = (
        "import sys; from verlaunch.inputs.data.look import quick_look;"
        "from verlaunch.inputs.data.sources import sources;"
        f"print(quick_look(sources({str(good)!r})).rows);"
        "sys.exit(bool({'torch', 'transformers', 'datasets', 'verl'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_script_prints_counts_and_a_prompt(tmp_path: Path, base_model: str) -> None:
    command = [sys.executable, "-m", "verlaunch", "data", "--model", base_model]
    data = ["--data", str(ROOT / "data" / "sample_math.json"), "--out", str(tmp_path / "out")]
    env = {"VERLAUNCH_CACHE": str(tmp_path / "cache"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([*command, *data], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert "read 500 rows" in done.stdout and done.stdout.count("Assistant:") == 2
    assert pq.read_metadata(tmp_path / "out" / "train.parquet").num_rows == 475
    wrong = subprocess.run([*command, "--data", "no.json"], capture_output=True, text=True, env=env)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "no.json not found" in wrong.stderr and "Traceback" not in wrong.stderr


def test_verl_loads_the_files(tmp_path: Path, base_model: str) -> None:
    config = pytest.importorskip("omegaconf").OmegaConf
    dataset = pytest.importorskip("verl.utils.dataset.rl_dataset").RLHFDataset
    mixed = [*rows(20, tools={"a": [], "b": None}), *rows(40, level=1)[20:]]
    made = run(tmp_path, mixed, model_path=base_model)
    tokenizer = Meter.load(base_model).tokenizer
    options = config.create(
        {"cache_dir": str(tmp_path), "max_prompt_length": 64, "filter_overlong_prompts_workers": 1}
    )
    loaded = dataset([str(made.train_file)], tokenizer, options)
    assert len(loaded) == made.train_rows
    row = loaded[0]
    assert row["raw_prompt"] == [{"role": "user", "content": "What is 0 + 1?"}]
    assert row["reward_model"]["ground_truth"] == "1" and row["index"] == 0
