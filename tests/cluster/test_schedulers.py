"""Schedulers: what they set makes the same command one of several machines, or says why not."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.wrong_inputs import type_here
from verlaunch.cluster.scheduler_words import hosts
from verlaunch.cluster.schedulers import VARIABLES, mapped
from verlaunch.config.compose import compose
from verlaunch.config.flags import load_table, parse
from verlaunch.config.tree import Config
from verlaunch.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "scripts" / "cluster"
SLURM = {
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_NODELIST": "node[01-02]",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_STEP_NODELIST": "node[01-02]",
    "SLURM_NODEID": "1",
}
BATCH = {"SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "node[01-02]", "SLURM_NODEID": "0"}
KUBEFLOW = {
    "PET_NNODES": "2",
    "PET_NODE_RANK": "1",
    "PET_MASTER_ADDR": "job-node-0-0.job",
    "PET_MASTER_PORT": "29400",
}
SKYPILOT = {
    "SKYPILOT_NUM_NODES": "2",
    "SKYPILOT_NODE_RANK": "1",
    "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
}
TORCHRUN = {
    "GROUP_WORLD_SIZE": "2",
    "GROUP_RANK": "1",
    "LOCAL_WORLD_SIZE": "1",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "2",
    "RANK": "1",
    "MASTER_ADDR": "node01",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}


def placed(env: Mapping[str, str], *words: str) -> tuple[str | None, ...]:
    """NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT as the flags see them."""
    seen, _ = mapped(env, words)
    return tuple(seen.get(name) for name in VARIABLES)


def note_of(env: Mapping[str, str], *words: str) -> str:
    _, notes = mapped(env, words)
    return " ".join(notes)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (SLURM, ("2", "1", "node01", None)),
        (SLURM | {"SLURM_STEP_RESV_PORTS": "12000-12001"}, ("2", "1", "node01", "12000")),
        (KUBEFLOW, ("2", "1", "job-node-0-0.job", "29400")),
        (KUBEFLOW | {"PET_NNODES": "2:2"}, ("2", "1", "job-node-0-0.job", "29400")),
        (SKYPILOT, ("2", "1", "10.0.0.1", None)),
        (TORCHRUN, ("2", "1", "node01", "29501")),
        (TORCHRUN | {"MASTER_PORT": "65535"}, ("2", "1", "node01", "65534")),
    ],
)
def test_each_scheduler_says_which_machine_this_is(
    env: Mapping[str, str], expected: tuple[str | None, ...]
) -> None:
    assert placed(env) == expected


def test_the_note_names_the_variables_that_said_so() -> None:
    assert note_of(SLURM) == (
        "SLURM_STEP_NUM_NODES=2 and SLURM_NODEID=1: this is node 1 of 2, node 0 is node01."
    )


def test_the_innermost_scheduler_is_believed() -> None:
    inside = {**SLURM, "SLURM_STEP_NUM_NODES": "4", "SLURM_STEP_NUM_TASKS": "4"}
    assert placed(inside | SKYPILOT | KUBEFLOW)[2] == "job-node-0-0.job"
    assert placed(inside | SKYPILOT)[:3] == ("2", "1", "10.0.0.1")
    assert placed(inside | KUBEFLOW | TORCHRUN)[:3] == ("2", "1", "node01")


@pytest.mark.parametrize(
    "env",
    [
        {"PATH": "/usr/bin"},
        {**SLURM, "SLURM_STEP_NUM_NODES": "1", "SLURM_JOB_NUM_NODES": "1"},
        {"SLURM_JOB_NUM_NODES": "1"},
        KUBEFLOW | {"PET_NNODES": "1", "PET_NODE_RANK": "0"},
        SKYPILOT | {"SKYPILOT_NUM_NODES": "1", "SKYPILOT_NODE_RANK": "0"},
        {"RANK": "0", "WORLD_SIZE": "1"},
        {"JOB_COMPLETION_INDEX": "3"},  # of a Job whose pods may well be runs of their own
    ],
)
def test_one_machine_is_left_as_it_is(env: dict[str, str]) -> None:
    assert mapped(env, []) == (env, ())


@pytest.mark.parametrize("words", [["--nnodes", "3"], ["--nnodes=3"], ["trainer.nnodes=3"]])
def test_who_types_the_number_of_machines_has_said_it_all(words: list[str]) -> None:
    assert mapped(SLURM, words) == (SLURM, ())
    assert mapped(SLURM | {"NNODES": "3"}, []) == (SLURM | {"NNODES": "3"}, ())


def test_an_empty_variable_says_nothing() -> None:
    assert placed(SLURM | {"NNODES": "", "MASTER_ADDR": " "})[:3] == ("2", "1", "node01")


def test_single_variables_and_flags_of_the_user_stay_theirs() -> None:
    assert placed(SLURM | {"MASTER_ADDR": "10.1.0.1", "MASTER_PORT": "4000"}) == (
        ("2", "1", "10.1.0.1", "4000")
    )
    assert "node 0 is 10.1.0.1." in note_of(SLURM, "--master-addr=10.1.0.1")
    request = parse(["--node_rank", "0"], mapped(SLURM, ["--node_rank", "0"])[0])
    assert request.values["node_rank"] == 0


def test_a_guests_machines_are_those_of_the_cluster() -> None:
    assert mapped(SLURM, ["--ray_address", "auto"]) == (SLURM, ())


def test_a_pod_of_a_job_gets_its_rank_where_the_user_has_said_how_many_there_are() -> None:
    pod = {"JOB_COMPLETION_INDEX": "1", "MASTER_ADDR": "job-0.job"}
    assert placed(pod | {"NNODES": "2"}) == ("2", "1", "job-0.job", None)
    assert note_of(pod, "--nnodes", "2") == "JOB_COMPLETION_INDEX=1: this is node 1 of 2."
    assert placed(pod | {"NNODES": "2", "NODE_RANK": "0"})[1] == "0"
    assert placed(pod, "--nnodes", "2", "--node_rank", "0")[1] is None
    assert note_of(pod | {"NNODES": "1"}) == ""


@pytest.mark.parametrize(
    ("env", "why"),
    [
        (BATCH, "SLURM_JOB_NUM_NODES=2, but this was not started by srun: one machine trains. To "
                "use all: srun --ntasks-per-node=1 ./train.sh ..."),
        (SLURM | {"SLURM_STEP_NUM_NODES": "1"}, "SLURM_JOB_NUM_NODES=2, but this step has one"),
        (SLURM | {"SLURM_HET_SIZE": "2"}, "SLURM_HET_SIZE is set"),
        ({"PET_NNODES": "2"}, "PET_NNODES=2, but PET_NODE_RANK does not say which of them"),
        ({"RANK": "1", "WORLD_SIZE": "2"}, "RANK=1 and WORLD_SIZE=2 may count machines or"),
    ],
)  # fmt: skip
def test_what_is_ambiguous_is_not_used_and_says_what_to_type(
    env: dict[str, str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERLAUNCH_START", "./train.sh")
    seen, (note,) = mapped(env, [])
    assert seen == env
    assert note.startswith(why)
    assert "./train.sh ..." in note


@pytest.mark.parametrize(
    ("env", "why"),
    [
        (SLURM | {"SLURM_STEP_NUM_TASKS": "16"}, "SLURM_STEP_NUM_TASKS=16 on 2 machines"),
        (KUBEFLOW | {"PET_NNODES": "1:4"}, "PET_NNODES=1:4: the number of machines of a run does"),
        (TORCHRUN | {"LOCAL_WORLD_SIZE": "8"}, "LOCAL_WORLD_SIZE=8: torchrun has started 8 of"),
        (TORCHRUN | {"LOCAL_WORLD_SIZE": "8", "GROUP_WORLD_SIZE": "1"}, "LOCAL_WORLD_SIZE=8"),
    ],
)
def test_a_start_that_cannot_be_one_run_is_refused(env: dict[str, str], why: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(why)}"):
        mapped(env, [])


@pytest.mark.parametrize(
    ("nodelist", "expected"),
    [
        ("node01", ["node01"]),
        ("gpu[01-04,7],x[1-2]-ib", ["gpu01", "gpu02", "gpu03", "gpu04", "gpu7", "x1-ib", "x2-ib"]),
        ("n[8-11]", ["n8", "n9", "n10", "n11"]),
        ("n[098-101]", ["n098", "n099", "n100", "n101"]),
        ("r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]),
        ("a-b.c,d[5]", ["a-b.c", "d5"]),
        ("", []),
        ("n[1-", []),
        ("n[a-c]", []),
        ("(null)[", []),
    ],
)
def test_a_nodelist_is_written_out(nodelist: str, expected: list[str]) -> None:
    assert hosts(nodelist) == expected


@given(st.integers(1, 4), st.integers(0, 999), st.integers(0, 40))
def test_a_range_has_all_its_hosts_at_its_width(width: int, first: int, more: int) -> None:
    found = hosts(f"n[{first:0{width}d}-{first + more:0{width}d}]")
    assert found == [f"n{number:0{width}d}" for number in range(first, first + more + 1)]


# What torchrun and the launcher really do


SHOW = """
import json, os, socket
from verlaunch.cluster.schedulers import mapped
env, notes = mapped(os.environ, [])
with socket.socket() as ours:
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if env["NODE_RANK"] == "0":
        ours.bind(("", int(env["MASTER_PORT"])))
    print(json.dumps([os.environ["MASTER_PORT"], env]))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.slow
def test_two_machines_of_torchrun_meet_at_a_port_that_torchrun_leaves_free(tmp_path: Path) -> None:
    show, port = tmp_path / "show.py", free_port()
    show.write_text(SHOW)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
                "--master_addr", "127.0.0.1", "--master_port", str(port)]  # fmt: skip
    running = [
        subprocess.Popen([*torchrun, "--node_rank", str(rank), str(show)], stdout=subprocess.PIPE)
        for rank in (0, 1)
    ]
    said = [json.loads(process.communicate()[0]) for process in running]
    assert [theirs for theirs, _ in said] == [str(port)] * 2
    for rank, (_, env) in enumerate(said):
        found = [env[name] for name in VARIABLES]
        assert found == ["2", str(rank), "127.0.0.1", str(port + 1 if port < 65535 else port - 1)]
        left = [name for name in env if name.startswith(("TORCHELASTIC", "GROUP", "LOCAL_"))]
        assert (left, "RANK" in env, "WORLD_SIZE" in env) == ([], False, False)


def typed(
    words: list[str], env: Mapping[str, str], cache: Path, folder: Path
) -> subprocess.CompletedProcess[str]:
    own = {flag.env for flag in load_table() if flag.env}
    kept = {n: v for n, v in os.environ.items() if n not in own and not n.startswith("SLURM_")}
    folders = {"VERLAUNCH_CACHE": str(cache), "OUTPUT_DIR": str(folder / "outputs")}
    return type_here([*words, "--hardware", "cpu"], folder, {**kept, **folders, **env})


@pytest.mark.slow
def test_the_plan_says_why_one_machine_trains(cache: Path, tmp_path: Path) -> None:
    done = typed(["--dry_run", "json"], BATCH, cache, tmp_path)
    assert done.returncode == 0, done.stderr
    assert note_of(BATCH) in json.loads(done.stdout)["notes"]


def test_the_configuration_is_that_of_this_machine(cache: Path, tmp_path: Path) -> None:
    env = SLURM | {"SLURM_STEP_NODELIST": "10.0.0.[1-2]"}
    done = typed(["--print_config"], env, cache, tmp_path)
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert (config["trainer"]["nnodes"], config["verlaunch"]["node_rank"]) == (2, 1)
    assert config["verlaunch"]["master_addr"] == "10.0.0.1"


def test_a_schedulers_mistake_is_told_as_json_too(cache: Path, tmp_path: Path) -> None:
    done = typed(["--dry_run", "json"], {"PET_NNODES": "1:4"}, cache, tmp_path)
    assert done.returncode == 2
    assert "PET_NNODES=1:4" in json.loads(done.stdout)["problems"][0]


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_answer_under_any_scheduler(
    word: str, cache: Path, tmp_path: Path
) -> None:
    done = typed([word], {"PET_NNODES": "1:4"}, cache, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


# The examples


TRAIN = f"""#!/bin/sh
[ "$1" = --version ] && exec {shlex.quote(sys.executable)} -m verlaunch --version
exec {shlex.quote(sys.executable)} -m verlaunch "$@" --print_config --hardware cpu
"""
# Starts a process for each machine, one after the other, as srun does for --ntasks-per-node=1.
SRUN = """#!/bin/bash
[[ $1 == --ntasks-per-node=1 ]] || exit 9
while [[ $1 == --* ]]; do shift; done
for node in 0 1; do
  SLURM_STEP_NUM_NODES=2 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_NODELIST='10.0.0.[1-2]' \\
    SLURM_NODEID=$node "$@" >"node$node.yaml" || exit
done
"""


def program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def directives() -> dict[str, str]:
    text = (EXAMPLES / "slurm.sh").read_text()
    return dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", text, re.M))


@pytest.mark.slow
def test_the_slurm_script_starts_one_launcher_per_machine(cache: Path, tmp_path: Path) -> None:
    asked = directives()
    assert (asked["nodes"], asked["ntasks-per-node"]) == ("2", "1")
    batch = BATCH | {
        "SLURM_CPUS_PER_TASK": asked["cpus-per-task"],
        "SLURM_GPUS_ON_NODE": asked["gpus-per-node"],
    }
    program(tmp_path / "srun", SRUN)
    program(tmp_path / "train.sh", TRAIN)
    own = {flag.env for flag in load_table() if flag.env}
    env = {name: value for name, value in os.environ.items() if name not in own} | batch
    env |= {"PATH": f"{tmp_path}:{env['PATH']}", "VERLAUNCH_CACHE": str(cache)}
    script = [str(EXAMPLES / "slurm.sh"), "--run_name", "two machines"]
    done = subprocess.run(script, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for rank in (0, 1):
        config = yaml.safe_load((tmp_path / f"node{rank}.yaml").read_text())
        trainer, ours = config["trainer"], config["verlaunch"]
        assert (trainer["nnodes"], trainer["n_gpus_per_node"]) == (2, int(asked["gpus-per-node"]))
        assert (ours["node_rank"], ours["master_addr"]) == (rank, "10.0.0.1")
        assert ours["run_name"] == "two machines"


def test_the_slurm_script_leaves_the_run_its_time_to_save() -> None:
    signal, _, seconds = directives()["signal"].partition("@")
    assert signal == "TERM"
    assert int(seconds) > compose(parse([], {}), "gpu").launch["grace"]


def test_the_slurm_script_passes_shellcheck() -> None:
    check = Path(sys.executable).with_name("shellcheck")
    found = str(check) if check.exists() else shutil.which("shellcheck")
    assert found, "scripts/test.sh installs it"
    done = subprocess.run([found, str(EXAMPLES / "slurm.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((EXAMPLES / name).read_text(encoding="utf-8")))


def composed(words: list[str], env: Mapping[str, str]) -> Config:
    """What the launcher makes of a command, as on a machine with GPUs."""
    program, *rest = words
    assert program.endswith("/train.sh")
    return compose(parse(rest, mapped(env, rest)[0]), "gpu")


def size(config: Config) -> tuple[int, int]:
    return config.verl["trainer"]["nnodes"], config.verl["trainer"]["n_gpus_per_node"]


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


def shared_paths(pod: dict[str, Any]) -> list[str]:
    """Where the pod's container has the disk that all pods see."""
    claims = {v["name"] for v in pod["volumes"] if "persistentVolumeClaim" in v}
    mounts = pod["containers"][0]["volumeMounts"]
    return [mount["mountPath"] for mount in mounts if mount["name"] in claims]


def gpus(container: dict[str, Any]) -> int:
    return int(container["resources"]["limits"]["nvidia.com/gpu"])


@pytest.mark.parametrize("rank", [0, 1])
def test_the_job_of_kubernetes_gives_each_pod_its_place(rank: int) -> None:
    service, job = documents("kubernetes.yaml")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    env = variables(container) | {"JOB_COMPLETION_INDEX": str(rank)}
    config = composed([*container["command"], *container["args"]], env)
    assert size(config) == (spec["completions"], gpus(container))
    assert spec["parallelism"] == spec["completions"]
    assert config.launch["node_rank"] == rank
    names = (job["metadata"]["name"], service["metadata"]["name"])
    assert config.launch["master_addr"] == f"{names[0]}-0.{names[1]}"
    assert pod["subdomain"] == names[1] and service["spec"]["selector"]["job-name"] == names[0]
    assert config.launch["output_dir"].startswith(f"{shared_paths(pod)[0]}/")
    assert pod["terminationGracePeriodSeconds"] > config.launch["grace"]


def test_the_rayjob_is_a_guest_on_all_its_machines() -> None:
    (job,) = documents("kuberay.yaml")
    cluster = job["spec"]["rayClusterSpec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert head["template"] == workers["template"]
    pod = head["template"]["spec"]
    config = composed(shlex.split(job["spec"]["entrypoint"]), variables(pod["containers"][0]))
    assert size(config) == (1 + workers["replicas"], gpus(pod["containers"][0]))
    assert config.launch["ray_address"] == "auto"
    assert config.launch["output_dir"].startswith(f"{shared_paths(pod)[0]}/")
    assert cluster["authOptions"] == {"mode": "token"}
    assert f"ray=={cluster['rayVersion']}" in (ROOT / "locks" / "gpu.txt").read_text().split()


@pytest.mark.parametrize("rank", [0, 1])
def test_skypilots_task_is_the_same_command_on_each_machine(rank: int, tmp_path: Path) -> None:
    (task,) = documents("skypilot.yaml")
    count = task["resources"]["accelerators"].partition(":")[2]
    env = SKYPILOT | {"SKYPILOT_NODE_RANK": str(rank), "SKYPILOT_NUM_GPUS_PER_NODE": count}
    program(tmp_path / "train.sh", '#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    shown = subprocess.run(["bash", "-ec", task["run"]], cwd=tmp_path, env={**os.environ, **env},
                           capture_output=True, text=True, check=True)  # fmt: skip
    config = composed(shown.stdout.splitlines(), env)
    assert size(config) == (task["num_nodes"], int(count))
    assert (config.launch["node_rank"], config.launch["master_addr"]) == (rank, "10.0.0.1")
    assert config.launch["output_dir"].startswith(f"{next(iter(task['volumes']))}/")


def test_the_page_names_the_examples_and_every_variable_that_counts_machines() -> None:
    page = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
    given = {*SLURM, *BATCH, *KUBEFLOW, *SKYPILOT, "GROUP_WORLD_SIZE", "GROUP_RANK"}
    read = given - {"SLURM_JOB_NODELIST", "SLURM_STEP_NUM_TASKS"} | {"JOB_COMPLETION_INDEX"}
    assert read - set(re.findall(r"\w+", page)) == set()
    assert {file.name for file in EXAMPLES.iterdir()} == set(
        re.findall(r"cluster/([\w.]+)\)", page)
    )
