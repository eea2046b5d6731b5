"""The papers of the project, their commands and files, and a folder in which these can be typed.

    folder = make_checkout(tmp_path, tiny_qwen2)
    all_commands()  ->  ["./train.sh", "./train.sh --data my.json --model FOLDER", ...]

Words in capitals get a value from `VALUES`, providers of judges a key that opens nothing.
"""

import contextlib
import json
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import yaml

from rewards.judge.providers import PROVIDERS
from tests.judge_protocols import STYLES
from tests.judge_servers import JudgeServer
from tests.recorded_run import write_run
from tests.reward_models import make
from verlaunch.record.checkpoints.manifest import write_manifest
from verlaunch.record.checkpoints.search import note_score

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "README.zh-CN.md")
PAGES = tuple(sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")))
CHINESE = tuple(sorted(f"docs/zh-CN/{page.name}" for page in (ROOT / "docs/zh-CN").glob("*.md")))
PAPERS = (*READMES, "CONTRIBUTING.md", "rewards/README.md", "data/README.md", *PAGES, *CHINESE)

# tests have no network
VALUES = {"FOLDER": "model", "Qwen/Qwen2.5-0.5B": "model", "REWARD_MODEL": "reward-model"}
KEYS = {name: "a-key-of-nobody" for provider in PROVIDERS.values() for name in provider.keys}
OWN_JUDGE = "http://127.0.0.1:8000/v1"  # on the pages


def in_chinese(paper: str) -> str:
    """README.md -> README.zh-CN.md, docs/flags.md -> docs/zh-CN/flags.md"""
    return READMES[1] if paper == READMES[0] else paper.replace("docs/", "docs/zh-CN/")


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


def all_files_shown() -> dict[str, str]:
    """Of all papers; a name stands for one and the same file."""
    found: dict[str, str] = {}
    for paper in PAPERS:
        for name, content in files_shown(paper).items():
            assert found.setdefault(name, content) == content, f"{paper}: another {name}"
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


def make_checkout(folder: Path, tiny: Path) -> Path:
    """A checkout's papers, data and scripts, the pages' files, models, and what a run leaves."""
    for name in ("data", "scripts", "docs", "tests/wrong"):
        shutil.copytree(ROOT / name, folder / name)
    for room in ("rewards", "inputs"):
        (folder / "tests" / room).mkdir()
    for paper in (*READMES, "tests/rewards/pays.yaml", "tests/inputs/layouts.yaml"):
        shutil.copy(ROOT / paper, folder / paper)
    for name, content in all_files_shown().items():
        (folder / name).write_text(content)
    write_model(folder / "model", tiny)
    make(folder / VALUES["REWARD_MODEL"], "DebertaV2ForSequenceClassification")
    write_run(folder / "outputs", steps=60)
    checkpoints = folder / "outputs" / "checkpoints"
    write_checkpoint(checkpoints / "global_step_60", folder / "model")
    note_score(checkpoints, 60, 0.9)
    return folder


@contextlib.contextmanager
def judged(argv: list[str]) -> Iterator[tuple[dict[str, str], list[str]]]:
    """Variables and arguments with which a judge that the command asks answers on this machine."""
    provider = next((b for a, b in pairwise(argv) if a == "--rm_api_type"), "dashscope")
    style = "local" if OWN_JUDGE in argv else provider
    if "--use_api_reward" not in argv or "verlaunch" not in argv or style not in STYLES:
        yield {}, argv
        return
    with JudgeServer(style, lambda prompt: 4) as judge:
        words = [judge.url if word == OWN_JUDGE else word for word in argv]
        there = ["--rm_base_url", judge.url, "--rm_model", _default_model(style)]
        yield dict.fromkeys(KEYS, judge.key), words if style == "local" else [*words, *there]


def _default_model(provider: str) -> str:
    settings = yaml.safe_load((ROOT / "rewards" / "api_reward_config.yaml").read_text())
    return settings["default_models"].get(provider, "the-judge")
