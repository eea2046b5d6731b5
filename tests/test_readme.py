"""The papers tell the truth: their commands run, their tables, links and paths are right.

Every command in a fenced bash block is called in a folder with a checkout's files: `./train.sh ...`
as `verlaunch ... --dry_run`, its other commands and scripts as they stand. Words in capitals get
values from `VALUES`, a judge is a server on loopback that speaks its provider's protocol, and files
shown on the page are written first. What cannot be run cheaply stands in `ELSEWHERE`, with what
runs it.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest
import yaml

from rewards.judge.prompts import presets
from rewards.judge.providers import PROVIDERS
from tests.papers import (
    CHINESE,
    KEYS,
    PAGES,
    PAPERS,
    READMES,
    ROOT,
    VALUES,
    all_commands,
    blocks,
    commands,
    files_shown,
    in_chinese,
    judged,
    make_checkout,
    text_of,
)
from tests.wrong_inputs import type_here
from verlaunch.cli import COMMANDS
from verlaunch.config.flags import load_table

SEVERAL = (
    "N_GPUS=8 NNODES=2 NODE_RANK={} MASTER_ADDR=192.168.1.1 ./train.sh --output_dir /shared/outputs"
)
ELSEWHERE = {
    # Needs as many rows as the GPUs that are assumed.
    "./train.sh --data my.json --model FOLDER --dry_run --assume_gpus 8x80": (
        "tests/plan/test_assumed.py"
    ),
    './train.sh --data my.json --model FOLDER --dry_run --assume_gpus "4 x H100" '
    "--assume_memory 1TB": "tests/plan/test_assumed.py",
    # Needs a network.
    "git clone REPOSITORY verlaunch && cd verlaunch": "tests/scripts/test_bootstrap.py",
    "./train.sh": "tests/e2e/test_demo_learns.py",
    SEVERAL.format(0): "tests/e2e/test_cluster.py",
    SEVERAL.format(1): "tests/e2e/test_cluster.py",
    "./scripts/test.sh": ".ci/run",
    "./scripts/test.sh --quick": ".ci/run",
    './scripts/test.sh -m "not e2e"': ".ci/run",
    "./scripts/test.sh tests/config/test_flags.py -x": ".ci/run",
    "./train.sh doctor": "tests/tools/test_doctor.py",  # a minute
    # minutes, or a rival's environment
    ".venv/bin/python scripts/bench/step.py --contestants ours,stock,plain,trl"
    " --trl_python ~/env-trl/bin/python": "tests/scripts/test_bench_rivals.py",
    ".venv/bin/python scripts/bench/data.py --rows 1000000 --rounds 1": (
        "tests/scripts/test_bench.py"
    ),
    ".venv/bin/python scripts/bench/cutting.py": "tests/scripts/test_bench.py",
    ".venv/bin/python scripts/bench/judge.py": "tests/scripts/test_bench.py",
    ".venv/bin/python scripts/bench/reward_model.py": "tests/scripts/test_bench.py",
    ".venv/bin/python scripts/bench/rules.py": "tests/scripts/test_bench.py",
    ".venv/bin/python scripts/bench/memory.py --hardware gpu": "tests/scripts/test_bench_memory.py",
    "scripts/gpu_check.sh": "tests/e2e/test_gpu_check_runs.py",  # its CPU mode runs there
    "scripts/gpu_check.sh --hardware cpu": "tests/e2e/test_gpu_check_runs.py",
    # needs a package index
    "bash findings/omegaconf_resolve.sh": "findings/omegaconf_resolve.sh",
    "scripts/offline_bundle.sh make DIR --hardware gpu --python 3.12": (
        "tests/scripts/test_offline_bundle.py"
    ),
    "scripts/offline_bundle.sh install DIR": "tests/scripts/test_offline_bundle.py",
    "scripts/lock.sh": "locks/cpu.txt",  # made by it; needs a package index
    "./train.sh convert STARLING starling --tokenizer LLAMA_2_CHAT": (
        "tests/rewards/test_reward_starling.py"
    ),
}
CHILDREN = ("chat", "doctor")  # a process each: they read what is typed, or end what they started
# Their tables are what the program prints, and that is English; or they are for developers.
ENGLISH_ONLY = {f"docs/{page}.md" for page in ("architecture", "failures", "mistakes", "rules")}
REWARDS = ("docs/rewards.md", "docs/zh-CN/rewards.md")
ACTIONS = {f"--{flag.name}" for flag in load_table() if flag.action}


def paths_in_tree(paper: str) -> list[str]:
    """`config/` below `verlaunch/`  ->  verlaunch/config/; the words of a line are side by side."""
    tree = next(block for block in blocks(paper, "text") if block.startswith("train.sh "))
    found: list[str] = []
    room = ""
    for line in tree.splitlines():
        names = re.split(r" {2,}", line.strip())[0].split()
        room = room if line.startswith(" ") else ""
        found += [room + name for name in names]
        room = room or names[0]
    return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory, tiny_qwen2: Path) -> Path:
    return make_checkout(tmp_path_factory.mktemp("checkout"), tiny_qwen2)


def to_run(command: str) -> tuple[dict[str, str], list[str]]:
    """Variables and arguments of the cheap form of a command."""
    words = [VALUES.get(word, word) for word in shlex.split(command, comments=True)]
    given = {}
    while "=" in words[0]:
        name, _, given[name] = words.pop(0).partition("=")
    program, *rest = words
    if program in ("./train.sh", ".venv/bin/verlaunch"):
        if rest and rest[0] in {command.name for command in COMMANDS if command.module}:
            # The programs of the page's own data do no harm, also where they cannot be isolated.
            trusted = ["--allow_unsafe_code"] if rest[0] == "score" else []
            child = [sys.executable, "-m"] if rest[0] in CHILDREN else []
            return given, [*child, "verlaunch", *rest, *trusted]
        look = [] if ACTIONS & set(rest) else ["--dry_run"]
        return given, ["verlaunch", *rest, *look, "--hardware", "cpu"]
    if program == ".venv/bin/python":
        return given, rest
    raise AssertionError(f"{command}: not known how to run it cheaply; see ELSEWHERE")


def run_script(words: Sequence[str]) -> int:
    """As Python runs it, in this process: what several scripts work out is worked out once."""
    with mock.patch.object(sys, "argv", list(words)):
        return int(imported(Path(words[0]).absolute()).main())


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [command for command in all_commands() if command not in ELSEWHERE]
)
def test_every_command_runs(command: str, checkout: Path, cache: Path, tmp_path: Path) -> None:
    given, argv = to_run(command)
    flags = {flag.env for flag in load_table() if flag.env}
    env = {name: value for name, value in os.environ.items() if name not in flags}
    # Each in a folder of its own: the commands are examples, not one run.
    folders = {"VERLAUNCH_CACHE": str(cache), "OUTPUT_DIR": str(tmp_path)}
    with judged(argv) as (judge, words):
        env |= {**folders, **KEYS, **judge, **given}
        if words[0] == "verlaunch":
            done = type_here(words[1:], checkout, env)
        elif words[0].endswith(".py"):
            done = type_here(words, checkout, env, run_script)
        else:
            done = subprocess.run(words, cwd=checkout, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-2000:]


def test_commands_that_are_run_elsewhere_are_still_there() -> None:
    assert set(ELSEWHERE) <= set(all_commands())
    assert [file for file in ELSEWHERE.values() if not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("paper", [READMES[0], *PAGES])
def test_both_languages_have_the_same_commands_files_and_chapters(paper: str) -> None:
    chinese = in_chinese(paper)
    if paper in ENGLISH_ONLY:
        assert chinese not in PAPERS
        return
    assert commands(paper) == commands(chinese)
    assert files_shown(paper) == files_shown(chinese)
    assert [level for level, _ in headings(paper)] == [level for level, _ in headings(chinese)]


def test_no_chinese_page_is_alone() -> None:
    assert set(CHINESE) <= {in_chinese(paper) for paper in PAGES}


@pytest.mark.parametrize("paper", READMES)
def test_the_first_page_can_be_read_in_one_sitting(paper: str) -> None:
    assert len(text_of(paper).splitlines()) <= 300


@pytest.mark.parametrize("paper", READMES)
def test_every_page_is_found_from_the_first(paper: str) -> None:
    found, begun = set(), {paper}
    while begun:
        page = begun.pop()
        found.add(page)
        links = (os.path.normpath(Path(page).parent / name) for name, _ in links_of(page))
        begun |= {link for link in links if link in PAPERS} - found
    own = CHINESE if paper == READMES[1] else PAGES
    assert set(own) - found == set()


@pytest.mark.parametrize("paper", [READMES[1], *CHINESE])
def test_a_chinese_page_leads_to_chinese_pages(paper: str) -> None:
    links = (os.path.normpath(Path(paper).parent / name) for name, _ in links_of(paper))
    english = {link for link in links if link in PAPERS and in_chinese(link) in CHINESE}
    assert len(english) <= (paper in CHINESE)  # the same page, in its first line


def imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reward_on_the_page_tells_right_from_wrong(checkout: Path) -> None:
    score = imported(checkout / "my_reward.py").compute_score
    right, wrong = (score("", text, "42") for text in ("It is 42.", "It is 41."))
    assert right["score"] > wrong["score"] and right.keys() == wrong.keys()


def test_the_rule_on_the_page_gives_more_for_nearer_numbers(checkout: Path) -> None:
    near = imported(checkout / "my_rules.py").near
    said = ("so 1,000", "so 990", "so 960", "so 899", "no idea", "")
    scores = [near(text, "1000") for text in said]
    assert scores == pytest.approx([1.0, 0.9, 0.6, 0.0, 0.0, 0.0])
    assert near("0.05", "0") == pytest.approx(0.5)


def rows_of_table(paper: str, first: str) -> str:
    """The line of a table whose first cell begins with the word."""
    return next(line for line in text_of(paper).splitlines() if line.startswith(f"| `{first}`"))


@pytest.mark.parametrize("paper", REWARDS)
def test_the_judges_on_the_page_are_those_of_the_code(paper: str) -> None:
    settings = yaml.safe_load((ROOT / "rewards" / "api_reward_config.yaml").read_text())
    listed = (ROOT / "rewards" / "judge" / "prices.yaml").read_text()
    for name, provider in PROVIDERS.items():
        row, model = rows_of_table(paper, name), settings["default_models"][name]
        dollars = [f"{price:.2f}" for price in yaml.safe_load(listed)[name][model]]
        assert [word for word in (*provider.keys, model, *dollars) if word not in row] == []
    as_of = re.search(r"\d{4}-\d\d-\d\d", listed)
    assert as_of and as_of[0] in text_of(paper)
    assert [name for name in presets() if f"`{name}`" not in text_of(paper)] == []


@pytest.mark.parametrize("paper", REWARDS)
def test_the_sum_on_the_page_is_right(paper: str) -> None:
    plain = " ".join(text_of(paper).split()).replace("×", "x").replace("$", "")
    one = r"\(([\d,]+) x ([\d.]+) \+ (\d+) x ([\d.]+)\) / 1,000,000"
    found = re.search(rf"([\d,]+) x {one} = ([\d.]+)", plain)
    assert found
    calls, tokens_in, price_in, tokens_out, price_out, dollars = (
        float(number.replace(",", "")) for number in found.groups()
    )
    per_call = (tokens_in * price_in + tokens_out * price_out) / 1e6
    assert calls * per_call == pytest.approx(dollars, abs=0.005)


@pytest.mark.parametrize("paper", [*REWARDS, "rewards/README.md"])
def test_every_built_in_rule_stands_in_the_tables(paper: str) -> None:
    table = yaml.safe_load((ROOT / "rewards" / "rules.yaml").read_text())
    targets = [line["rule"] if isinstance(line, dict) else line for line in table.values()]
    rules = {target.partition(":")[0] for target in targets}
    assert [rule for rule in sorted(rules) if f"`{rule}`" not in text_of(paper)] == []
    patterns = [name for name in table if "/" not in name or name.endswith("/*")]
    missing = [name for name in patterns if f"`{name}`" not in text_of(paper)]
    assert missing == [] or paper not in REWARDS


def test_the_flags_tables_are_up_to_date() -> None:
    done = type_here(["scripts/make_docs.py", "--check"], ROOT, dict(os.environ), run_script)
    assert done.returncode == 0, done.stdout + done.stderr


def headings(paper: str) -> list[tuple[int, str]]:
    """Level and text of each, code blocks left out."""
    prose = re.sub(r"^```.*?^```$", "", text_of(paper), flags=re.M | re.S)
    return [(len(sign), text) for sign, text in re.findall(r"^(#+) (.*)$", prose, re.M)]


def anchors(paper: str) -> set[str]:
    """As GitHub makes them: `1. Rules and functions` -> 1-rules-and-functions."""
    plain = (re.sub(r"[^\w\- ]", "", text.lower()) for _, text in headings(paper))
    return {text.replace(" ", "-") for text in plain}


def links_of(paper: str) -> list[tuple[str, str]]:
    """File and anchor of each link that stays in the project; no file is the page itself."""
    targets = re.findall(r"\]\(([^)\s]+)\)", text_of(paper))
    parts = (target.partition("#") for target in targets if "://" not in target)
    return [(name, anchor) for name, _, anchor in parts]


@pytest.mark.parametrize("paper", [*PAPERS, "CHANGELOG.md"])
def test_every_local_link_leads_somewhere(paper: str) -> None:
    files = [((ROOT / paper).parent / name if name else ROOT / paper, name, anchor)
             for name, anchor in links_of(paper)]  # fmt: skip
    assert [name for file, name, _ in files if not file.exists()] == []
    assert [a for file, _, a in files if a and a not in anchors(str(file))] == []


PLACE = re.compile(r"`((?:verlaunch|rewards|configs|scripts|tests|docs)/[\w/.-]+)[`: ]")
EXAMPLE = re.compile("NAME|my_rule")


@pytest.mark.parametrize("paper", [*PAPERS, "CHANGELOG.md"])
def test_every_place_that_a_page_names_exists(paper: str) -> None:
    named = [path for path in PLACE.findall(text_of(paper)) if not EXAMPLE.search(path)]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_architecture_names_every_room_and_where_its_types_are() -> None:
    text = text_of("docs/architecture.md")
    rooms = {path.stem for path in (ROOT / "verlaunch").iterdir() if path.name[0] not in "_."}
    assert [room for room in rooms - {"share"} if not re.search(rf"`{room}/?`", text)] == []
    flows = re.findall(r"`([A-Z]\w+)` \(`([\w/.]+\.py)`\)", text)
    assert len(flows) > 5
    assert [one for one, file in flows if f"class {one}" not in text_of(file)] == []


def test_an_anchor_that_is_not_there_is_found() -> None:
    assert "rewards" in anchors("README.md") and "the-rewards" not in anchors("README.md")
    assert "奖励" in anchors("README.zh-CN.md")


@pytest.mark.parametrize("paper", READMES)
def test_every_path_in_the_tree_exists_and_no_room_is_missing(paper: str) -> None:
    paths = paths_in_tree(paper)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = [path for path in listed.stdout.splitlines() if not path.startswith(".")]
    rooms = {f"{path.split('/')[0]}/" for path in files if "/" in path}
    rooms |= {"/".join(path.split("/")[:2]) + "/" for path in files
              if path.startswith("verlaunch/") and path.count("/") > 1}  # fmt: skip
    assert rooms - set(paths) == set()
