"""The papers tell the truth: their commands run, their tables and links and paths are right.

Every command in a fenced bash block is run in a folder with a checkout's files: `./train.sh ...` as
`python -m verlaunch ... --dry_run`, scripts as they stand. Words in capitals get a value from
`VALUES`, and files shown on the page are written first. What cannot be run cheaply stands in
`ELSEWHERE`, with what runs it.
"""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from verlaunch.checkpoints import write_manifest
from verlaunch.flags import load_table

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
PAPERS = (*READMES, "CONTRIBUTING.md")

VALUES = {"FOLDER": "model", "Qwen/Qwen2.5-0.5B": "model"}  # tests have no network
ELSEWHERE = {
    "git clone REPOSITORY verlaunch && cd verlaunch": "tests/test_bootstrap.py",  # needs a network
    "./train.sh": "tests/e2e/test_demo.py",
    "./scripts/test.sh": ".ci/run",
    './scripts/test.sh -m "not e2e"': ".ci/run",
    "./scripts/test.sh tests/test_flags.py -x": ".ci/run",
    "scripts/lock.sh": "locks/cpu.txt",  # made by it; needs a package index
}
ACTIONS = {f"--{flag.name}" for flag in load_table() if flag.action}


def text_of(paper: str) -> str:
    return (ROOT / paper).read_text(encoding="utf-8")


def blocks(paper: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(paper), re.M | re.S)


def commands(paper: str) -> list[str]:
    text = "".join(blocks(paper, "(?:bash|sh)")).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.split("#")[0].strip()]


def all_commands() -> list[str]:
    """Each once, in order."""
    return list(dict.fromkeys(command for paper in PAPERS for command in commands(paper)))


def files_shown(paper: str) -> dict[str, str]:
    """name -> content of the files that the page writes out: `name` and a colon, then a block."""
    shown = re.findall(
        r"`([\w.]+)`[:：]\n\n```(?:json|python|yaml)\n(.*?)^```$", text_of(paper), re.M | re.S
    )
    return dict(shown)


def paths_in_tree(paper: str) -> list[str]:
    tree = next(block for block in blocks(paper, "text") if block.startswith("train.sh "))
    found, folders = [], []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [line.split()[0]]
        found.append("".join(folders))
    return found


def write_model(folder: Path, tiny: Path) -> None:
    """The tiny model with room for prompts and responses of the default lengths."""
    shutil.copytree(tiny, folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = 4096
    (folder / "config.json").write_text(json.dumps(config))


def write_checkpoint(folder: Path, model: Path) -> None:
    """What one rank of verl saves of a policy."""
    import torch
    from transformers import AutoModelForCausalLM

    actor = folder / "actor"
    shutil.copytree(model, actor / "huggingface", ignore=shutil.ignore_patterns("*.safetensors"))
    (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": 1}))
    weights = AutoModelForCausalLM.from_pretrained(model).state_dict()
    torch.save(weights, actor / "model_world_size_1_rank_0.pt")
    write_manifest(folder, step=60, ranks=1)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, tiny_qwen2: Path) -> Path:
    """A checkout's papers, data and scripts, the pages' own files, a model and a checkpoint."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("data", "scripts"):
        shutil.copytree(ROOT / name, folder / name)
    for paper in PAPERS:
        shutil.copy(ROOT / paper, folder)
    for name, content in files_shown("README.md").items():
        (folder / name).write_text(content)
    write_model(folder / "model", tiny_qwen2)
    write_checkpoint(folder / "outputs" / "checkpoints" / "global_step_60", tiny_qwen2)
    return folder


def to_run(command: str) -> tuple[dict[str, str], list[str]]:
    """Variables and arguments of the cheap form of a command."""
    words = [VALUES.get(word, word) for word in shlex.split(command, comments=True)]
    given = {}
    while "=" in words[0]:
        name, _, given[name] = words.pop(0).partition("=")
    program, *rest = words
    if program in ("./train.sh", ".venv/bin/verlaunch"):
        look = [] if ACTIONS & set(rest) else ["--dry_run"]
        return given, [sys.executable, "-m", "verlaunch", *rest, *look, "--hardware", "cpu"]
    if program == ".venv/bin/python":
        return given, [sys.executable, *rest]
    raise AssertionError(f"{command}: not known how to run it cheaply; see ELSEWHERE")


@pytest.mark.parametrize(
    "command", [command for command in all_commands() if command not in ELSEWHERE]
)
def test_every_command_runs(command: str, checkout: Path, tmp_path: Path) -> None:
    given, argv = to_run(command)
    flags = {flag.env for flag in load_table() if flag.env}
    env = {name: value for name, value in os.environ.items() if name not in flags}
    # Each in a folder of its own: the commands are examples, not one run.
    env |= {"VERLAUNCH_CACHE": str(checkout / "cache"), "OUTPUT_DIR": str(tmp_path), **given}
    done = subprocess.run(argv, cwd=checkout, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]


def test_commands_that_are_run_elsewhere_are_still_there() -> None:
    assert set(ELSEWHERE) <= set(all_commands())
    assert [file for file in ELSEWHERE.values() if not (ROOT / file).is_file()] == []


def test_both_readmes_have_the_same_commands_and_files() -> None:
    english, chinese = READMES
    assert commands(english) == commands(chinese)
    assert files_shown(english) == files_shown(chinese)
    assert set(files_shown(english)) == {"my.json", "my_reward.py", "short.yaml"}


def test_the_reward_on_the_page_tells_right_from_wrong(checkout: Path) -> None:
    spec = importlib.util.spec_from_file_location("my_reward", checkout / "my_reward.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    right, wrong = (module.compute_score("", text, "42") for text in ("It is 42.", "It is 41."))
    assert right["score"] > wrong["score"] and right.keys() == wrong.keys()


def test_the_flags_tables_are_up_to_date() -> None:
    check = [sys.executable, str(ROOT / "scripts" / "make_docs.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("paper", [*PAPERS, "CHANGELOG.md"])
def test_every_local_link_leads_somewhere(paper: str) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", text_of(paper))
    local = [target for target in targets if not target.startswith("http")]
    assert [target for target in local if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("paper", READMES)
def test_every_path_in_the_tree_exists_and_no_file_of_a_room_is_missing(paper: str) -> None:
    paths = paths_in_tree(paper)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    rooms = [ROOT / room for room in ("configs", "rewards", "verlaunch", "scripts")]
    files = {path.relative_to(ROOT).as_posix() for room in rooms for path in room.glob("[a-z]*.*")}
    assert files - set(paths) == set()
