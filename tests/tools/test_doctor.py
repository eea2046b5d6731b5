"""The doctor: each check by itself, checks that die, and a file that nobody has to be afraid of."""

import functools
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.judge_servers import KEY, MODELS, JudgeServer
from verlaunch import cli
from verlaunch.config.compose import compose
from verlaunch.config.flags import load_table, parse
from verlaunch.config.tree import Config
from verlaunch.engine.environment import for_run
from verlaunch.machine import hardware, host, processes
from verlaunch.machine.host import Host
from verlaunch.machine.nvidia import Card
from verlaunch.machine.scrub import Scrub
from verlaunch.machine.variables import is_secret, shown
from verlaunch.paths import as_typed, temp_dir
from verlaunch.text import GIB
from verlaunch.tools.doctor import child, command, heavy, outside
from verlaunch.tools.doctor.checks import CHECKS
from verlaunch.tools.doctor.flags import HELP, OWN
from verlaunch.tools.doctor.inside.__main__ import first_line
from verlaunch.tools.doctor.look import BAD, LOOK, OK, Line, Part, Patient, together
from verlaunch.tools.doctor.machine import look_at_limits, look_at_machine, look_at_versions
from verlaunch.tools.doctor.remedies import KNOWN, remedies
from verlaunch.tools.doctor.show import WIDTH, summary, wrapped

GONE_S = 15.0  # in which what a killed process started ends with it
SCRIPT = [sys.executable, "-m", "verlaunch", "doctor"]
FINE = Host(
    shm_bytes=8 * GIB, open_files=65_536, processes=None, free_memory_gib=30.0, loopback=True
)
LEAKS = (  # of every shape; each must be gone from everything that is written
    "sk-proj-A1b2C3d4E5f6G7h8I9j0",
    "hf_AbCdEfGhIjKlMnOpQrStUvWx",
    "Tr0ub4dor&3",
    "justlowercaseletters",
    "s3cr3t-pass",
    "AIzaSyA1234567890abcdefghijklmnop",
    "ray-private-42",
    "verl-token-9917",
)


def quiet(_: str) -> None:
    pass


@functools.cache
def flag_variables() -> tuple[str, ...]:
    return tuple(flag.env for flag in load_table() if flag.env)


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user with nothing set, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VERLAUNCH_CACHE", str(tmp_path / "cache"))
    names = flag_variables()
    for name in [*names, *outside.PROXIES, "HF_ENDPOINT", "HF_HUB_OFFLINE"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture()
def patient(tmp_path: Path) -> Patient:
    return patient_of(tmp_path)


@functools.cache
def plain_config() -> Config:
    return compose(parse([], {}), "cpu")


def patient_of(folder: Path) -> Patient:
    config = plain_config()
    env = {**os.environ, **for_run("cpu", dict(os.environ))}
    cache = folder / "cache"
    return Patient(hardware.look(), FINE, "cpu", config, folder / "out", cache, env, quick=True)


def limit_of(name: str) -> float:
    return next(check.limit_s for check in CHECKS if check.name == name)


# ---- checks that die -----------------------------------------------------------------------


def python(body: str) -> list[str]:
    """A check's process; FOLDER is what child.py gives it."""
    return [sys.executable, "-c", f"import os, sys, time, signal\nFOLDER = sys.argv[1]\n{body}"]


def outcome_of(body: str, limit_s: float = 20.0) -> child.Outcome:
    return child.run(python(body), {"a": 1}, limit_s, os.environ, quiet)


DOING = "open(FOLDER + '/told.jsonl', 'a').write('{\"doing\": \"importing vllm\"}\\n')\n"


def test_a_check_that_is_killed_says_by_what_and_while_doing_what() -> None:
    found = outcome_of(DOING + "os.kill(os.getpid(), signal.SIGSEGV)")
    assert found.facts is None
    assert found.why == "killed by SIGSEGV while importing vllm"


def test_a_check_that_hangs_is_stopped_at_its_limit_and_all_it_started_with_it() -> None:
    found = outcome_of(
        DOING + "import subprocess\n"
        "started = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print('sleeper', started.pid, flush=True)\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "time.sleep(600)",
        limit_s=1.0,
    )
    assert found.why == "still importing vllm after 1 s, and stopped"
    assert processes.is_dead(int(found.log[-1].split()[1]))


@pytest.mark.parametrize(
    "body",
    [
        "print('all fine, believe me')",
        "open(FOLDER + '/told.jsonl', 'w').write('%&/()\\n[1]\\n{\"done\": 3}\\n')",
        "open(FOLDER + '/told.jsonl', 'wb').write(bytes(range(256)))",
        "open(FOLDER + '/told.jsonl', 'w').write('{\"done\": {\"torch\"')",
    ],
)
def test_rubbish_is_no_result(body: str) -> None:
    found = outcome_of(body)
    assert found.facts is None
    assert found.why.startswith("ended with code 0 and no result while starting")


def test_the_last_words_are_kept() -> None:
    found = outcome_of("print('one'); sys.exit('CUDA out of memory')")
    assert "ended with code 1" in found.why and found.why.endswith("CUDA out of memory")
    assert found.log == ("one", "CUDA out of memory")


def test_an_error_is_told_by_its_first_cause() -> None:
    found = child.ask("no_such_check", {}, 20.0, os.environ, quiet)
    assert (
        found.why
        == "ModuleNotFoundError: No module named 'verlaunch.tools.doctor.inside.no_such_check'"
    )
    try:
        try:
            raise ImportError("libnuma.so.1: cannot open\nmore")
        except ImportError as error:
            raise RuntimeError("vllm is broken") from error
    except RuntimeError as error:
        assert first_line(error) == "ImportError: libnuma.so.1: cannot open"


@pytest.mark.parametrize("facts", [{}, {"modules": 3}, {"losses": "no"}, {"losses": []}])
@pytest.mark.parametrize("name", ["imports", "collectives", "fsdp", "ray", "generation", "disk"])
def test_facts_that_make_no_sense_are_bad_with_a_remedy(
    name: str, facts: dict[str, Any], patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "ask", lambda *_: child.Outcome(facts))
    (check,) = [check for check in CHECKS if check.name == name]
    line = command.examine(check, patient, quiet)
    assert line.verdict == BAD and line.remedies


@pytest.mark.parametrize("check", [c for c in CHECKS if c.is_slow], ids=lambda c: c.name)
def test_every_heavy_check_that_dies_is_bad_with_a_remedy(
    check: Any, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = child.Outcome(None, "killed by SIGKILL while testing", ("last words",))
    monkeypatch.setattr(child, "ask", lambda *_: died)
    line = command.examine(check, patient, quiet)
    assert (line.name, line.verdict, line.seen) == (check.name, BAD, died.why)
    assert line.remedies[0].startswith("It looks like too little memory: free -g")
    assert line.log == ("last words",)


def test_a_check_that_raises_is_its_own_bad_line() -> None:
    check = replace(CHECKS[0], look=lambda patient, say, limit_s: 1 // 0)
    line = command.examine(check, None, quiet)  # type: ignore[arg-type]
    assert line.verdict == BAD and "ZeroDivisionError" in line.seen and line.remedies


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ("OSError: libnuma.so.1: cannot open shared object file", "apt install libnuma1"),
        ("RuntimeError: operator torchvision::nms does not exist", "uninstall torchvision"),
        ("OSError: [Errno 28] No space left on device", "df -h"),
        ("OSError: [Errno 24] Too many open files", "ulimit -n 65536"),
        ("RuntimeError: can't start new thread", "ulimit -u unlimited"),
        ("ValueError: Free memory on device cuda:0 (1.2/79.2 GiB)", "nvidia-smi"),
        ("ModuleNotFoundError: No module named 'ray'", "rm -r .venv && ./train.sh"),
        ("killed by SIGILL while importing torch", "lscpu"),
        ("ModuleNotFoundError: No module named 'socksio'", "pip install socksio"),
        ("ValueError: Unknown scheme for proxy URL URL('socks://h:1')", "socks5h://"),
    ],
)
def test_known_words_get_their_remedy_before_the_usual_one(said: str, typed: str) -> None:
    first, *rest = remedies(said, ("the usual",))
    assert typed in first and rest == ["the usual"]


def test_unknown_words_get_the_usual_remedy_and_every_pattern_compiles() -> None:
    assert remedies("something else", ("the usual",)) == ("the usual",)
    assert all(re.compile(pattern) for pattern, _ in KNOWN)


# ---- the machine ---------------------------------------------------------------------------


def test_this_machine_is_fine(patient: Patient) -> None:
    patient = replace(patient, machine=replace(patient.machine, memory_gib=23.4))
    for look in (look_at_machine, look_at_limits):
        line = look(patient, quiet, 20)
        assert line.verdict in (OK, LOOK) and line.seen
    assert look_at_limits(patient, quiet, 20).verdict == OK
    assert "23.4 GiB of memory" in look_at_machine(patient, quiet, 20).seen
    assert look_at_versions(patient, quiet, 20).verdict == OK
    assert host.look().loopback


@pytest.mark.parametrize(
    ("changed", "verdict", "seen", "typed"),
    [
        ({"shm_bytes": 64 * 10**6}, LOOK, "64.0 MB free in /dev/shm", "--shm-size=2g"),
        ({"shm_bytes": None}, BAD, "no /dev/shm", "--shm-size=2g"),
        ({"open_files": 1024}, LOOK, "1024 open files", "hard nofile 65536"),
        ({"processes": 500}, LOOK, "500 more processes", "ulimit -u unlimited"),
        ({"loopback": False}, BAD, "no port on 127.0.0.1", "ip link set lo up"),
        ({"free_memory_gib": 1.5}, LOOK, "1.5 GiB of memory free", "free -g"),
    ],
)
def test_a_machine_that_lacks_something_is_told_what_to_type(
    patient: Patient, changed: dict[str, Any], verdict: str, seen: str, typed: str
) -> None:
    line = look_at_limits(replace(patient, host=replace(FINE, **changed)), quiet, 20)
    assert line.verdict == verdict
    assert line.seen.startswith(seen)  # what is not fine is said first
    assert typed in line.remedies[0]


def test_a_gpu_run_without_gpus_is_bad_and_says_why(patient: Patient) -> None:
    bare = replace(patient, machine=replace(patient.machine, gpus=()), hardware="gpu", env={})
    assert look_at_machine(bare, quiet, 20).seen.startswith("--hardware gpu, and nvidia-smi")
    broken = replace(bare, host=replace(FINE, smi_error="driver/library version mismatch"))
    assert "driver/library version mismatch" in look_at_machine(broken, quiet, 20).seen
    cards = replace(FINE, cards=(Card(0, "GPU-1", "H200", GIB, GIB),))
    hidden = replace(bare, host=cards, env={"CUDA_VISIBLE_DEVICES": "7"})
    line = look_at_machine(hidden, quiet, 20)
    assert (line.verdict, line.remedies) == (BAD, ("unset CUDA_VISIBLE_DEVICES",))
    assert line.seen.startswith("CUDA_VISIBLE_DEVICES=7 hides every GPU")


def test_another_version_of_ray_is_named(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    from verlaunch.tools.doctor import machine

    have = machine.installed() | {"ray": "2.48.0"}
    monkeypatch.setattr(machine, "installed", lambda: have)
    line = look_at_versions(patient, quiet, 20)
    assert line.verdict in (BAD, LOOK) and "ray 2.48.0 (the lock has 2.60.0)" in line.seen
    assert line.remedies


# ---- heavy checks, for real ----------------------------------------------------------------


@pytest.mark.slow
def test_ranks_talk_and_learn_here(patient: Patient) -> None:
    line = heavy.look_at_fsdp(patient, quiet, limit_of("fsdp"))
    assert line.verdict == OK, line
    assert re.fullmatch(r"2 gloo ranks: loss [\d.]+ to [\d.]+ in 5 steps", line.seen)


@pytest.mark.e2e
def test_every_check_is_fine_here(tmp_path: Path) -> None:
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(SCRIPT, cwd=tmp_path, env=env, capture_output=True, text=True)
    told = json.loads((tmp_path / "outputs" / "doctor.json").read_text())
    assert done.returncode == 0, done.stdout
    assert [one["name"] for one in told["checks"]] == [check.name for check in CHECKS]
    may_lack = {"machine", "limits", "disk", "collectives"}  # a busy machine is slow
    assert {one["name"] for one in told["checks"] if one["verdict"] != OK} <= may_lack


@pytest.mark.parametrize(
    ("losses", "fine"),
    [([2.0, 1.0], True), ([1.0, 2.0], False), ([2.0, float("nan")], False), ([1.0, 1.0], False)],
)
def test_a_loss_that_does_not_fall_is_bad(losses: list[float], fine: bool) -> None:
    assert heavy.learned(losses) is fine


def test_a_wrong_sum_and_a_worker_without_our_platform_are_bad(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = child.Outcome({"right": False, "gigabytes_per_s": 3.0})
    monkeypatch.setattr(child, "ask", lambda *_: wrong)
    assert heavy.look_at_collectives(patient, quiet, 1.0).verdict == BAD
    times = dict.fromkeys(("start_s", "task_s", "stop_s"), 1.0)
    no_platform = child.Outcome({**times, "gpus": 2.0, "platform": "cuda", "left": []})
    monkeypatch.setattr(child, "ask", lambda *_: no_platform)
    line = heavy.look_at_ray(patient, quiet, 1.0)
    assert line.verdict == BAD and line.seen.startswith("verl runs on cuda in Ray's workers")
    left = child.Outcome({**times, "gpus": 2.0, "platform": "cpu", "left": ["raylet (process 7)"]})
    monkeypatch.setattr(child, "ask", lambda *_: left)
    assert heavy.look_at_ray(patient, quiet, 1.0).verdict == LOOK


def test_an_import_that_fails_is_told_in_its_own_words(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heavy, "MODULES", ("json", "not_there_at_all"))
    line = heavy.look_at_imports(patient, quiet, 30.0)
    assert line.verdict == BAD
    assert line.seen.startswith("not_there_at_all: ModuleNotFoundError: No module named")
    assert line.remedies == ("Install the environment again: rm -r .venv && ./train.sh --help",)


# ---- disk and network ----------------------------------------------------------------------


def test_the_disk_is_measured_and_left_as_it_was(patient: Patient, tmp_path: Path) -> None:
    line = outside.look_at_disk(patient, quiet, limit_of("disk"))
    assert line.verdict in (OK, LOOK) and "MB/s" in line.seen
    assert line.facts[str(tmp_path / "out")]["write"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_bad_and_names_the_flag(patient: Patient) -> None:
    line = outside.look_at_disk(replace(patient, folder=Path("/proc/nowhere")), quiet, 60.0)
    assert line.verdict == BAD
    assert line.seen.startswith("output /proc/nowhere cannot be written")
    assert line.remedies[0] == "Name another folder: --output_dir FOLDER"


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"write": 500.0, "read": 500.0, "free": 5e11}, OK),
        ({"write": 12.0, "read": 500.0, "free": 5e11}, LOOK),
        ({"write": 500.0, "read": 500.0, "free": 1e9}, LOOK),
    ],
)
def test_a_slow_or_full_disk_is_to_be_looked_at(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, said: dict[str, float], verdict: str
) -> None:
    def ask(module: str, given: dict[str, Any], *_: Any) -> child.Outcome:
        return child.Outcome({folder: said for folder in given["folders"]})

    monkeypatch.setattr(child, "ask", ask)
    assert outside.look_at_disk(patient, quiet, 1.0).verdict == verdict


class _Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"id": "Qwen/Qwen2.5-0.5B", "sha": "0123abc", "siblings": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture()
def hub() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_hub_that_answers_is_ok_and_one_that_does_not_is_no_disaster(
    patient: Patient, hub: str
) -> None:
    there = replace(patient, env={**patient.env, "HF_ENDPOINT": hub})
    line = outside.look_at_network(there, quiet, limit_of("network"))
    assert line.verdict == OK and line.seen.startswith(f"{hub} answers in "), line
    gone = replace(patient, env={**patient.env, "HF_ENDPOINT": "http://127.0.0.1:9"})
    line = outside.look_at_network(gone, quiet, limit_of("network"))
    assert line.verdict == LOOK and "--model FOLDER" in line.remedies[0]


def test_offline_is_a_choice_and_a_name_server_that_hangs_no_disaster(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = replace(patient, env={**patient.env, "HF_HUB_OFFLINE": "1"})
    assert outside.look_at_network(chosen, quiet, 30.0).verdict == OK
    hangs = child.Outcome(None, "still asking the hub after 30 s, and stopped")
    monkeypatch.setattr(child, "ask", lambda *_: hangs)
    assert outside.look_at_network(patient, quiet, 30.0).verdict == LOOK


# ---- the judge -----------------------------------------------------------------------------


def examined(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, Any]:
    code = cli.main(["doctor", *words])
    return code, capsys.readouterr().out, json.loads(Path("outputs/doctor.json").read_text())


def judge_words(url: str) -> list[str]:
    return ["--only", "judge", "--use_api_reward", "--rm_api_type", "openai", "--rm_model",
            MODELS["local"], "--rm_base_url", url]  # fmt: skip


def test_a_judge_that_answers_is_ok(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with JudgeServer("local", judge=lambda prompt: 2 if "fool" in prompt else 9) as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key)
        code, out, told = examined(judge_words(server.url), capsys)
        assert len(server.requests) == 2, out
    assert code == 0 and "judge_score answers: " in out, out
    assert told["checks"][0]["verdict"] == OK
    assert KEY not in out + Path("outputs/doctor.json").read_text()
    assert [file.name for file in Path("outputs").iterdir()] == ["doctor.json"]  # no answers


def test_a_judge_that_cannot_tell_right_from_wrong_is_to_be_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with JudgeServer("local", judge=lambda prompt: 5) as server:
        monkeypatch.setenv("OPENAI_API_KEY", server.key)
        code, out, _ = examined(judge_words(server.url), capsys)
    assert code == 0 and "look  judge_score answers" in out


def test_a_judge_that_refuses_the_key_is_bad_in_its_own_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = "sk-wrong-abcdefghijklmnop"
    with JudgeServer("openai") as server:
        monkeypatch.setenv("OPENAI_API_KEY", wrong)
        code, out, told = examined(judge_words(server.url), capsys)
    assert code == 1 and "judge        BAD   " in out
    assert "key" in told["checks"][0]["seen"].lower() and told["checks"][0]["remedies"]
    assert "fix the first one first" in told["summary"]
    assert wrong not in out + Path("outputs/doctor.json").read_text()


def test_flags_that_make_no_reward_are_bad_before_anyone_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(child, "ask", lambda *given: asked.append(given))
    code, out, _ = examined(["--only", "judge", "--reward_mix", "rm_score=1"], capsys)
    assert code == 1 and not asked and "BAD" in out
    code, out, _ = examined(["--only", "judge"], capsys)
    assert code == 0 and not asked and "name no judge" in out


# ---- secrets -------------------------------------------------------------------------------


@pytest.fixture()
def leaky(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    key, token, password, other, login, google, ray, verl = LEAKS
    given = {
        "OPENAI_API_KEY": key,
        "HF_TOKEN": token,
        "MY_DB_PASSWORD": password,
        "WANDB_API_KEY": other,
        "https_proxy": f"http://ann:{login}@proxy.example:3128",
        "GOOGLE_API_KEY": google,
        "RAY_AUTH_TOKEN": ray,
        "VERL_SECRET": verl,
        "RAY_ADDRESS": "127.0.0.1:6379",
        "VLLM_LOGGING_LEVEL": "WARN",
        "SOMETHING_ELSE": "not to be shown",
        "HOME": "/home/annalena",
        "USER": "annalena",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return given


def test_only_named_variables_are_shown_and_no_secret_ever(leaky: dict[str, str]) -> None:
    found = shown(os.environ)
    assert found["RAY_ADDRESS"] == "127.0.0.1:6379" and found["VLLM_LOGGING_LEVEL"] == "WARN"
    assert "https_proxy" in found and "SOMETHING_ELSE" not in found
    assert not [name for name in found if is_secret(name)]


@pytest.mark.parametrize("leak", LEAKS)
def test_a_secret_is_hidden_wherever_it_stands(leaky: dict[str, str], leak: str) -> None:
    scrub = Scrub.of(os.environ)
    for text in (
        leak,
        f"said '{leak}'.",
        f"x={leak}&y",
        f"https://ann:{leak}@host/v1",
        f"\n{leak}",
    ):
        assert leak not in scrub(text)
    assert leak not in json.dumps(scrub.all({"a": [leak, {leak: (leak, 1, None)}]}))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:pw@host:80/v1 failed", "http://***@host:80/v1 failed"),
        ("http://token-only@host/", "http://***@host/"),
        ("GET /v1?key=abc123&model=x", "GET /v1?key=***&model=x"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: ***"),
        ('{"api_key": "abcdef"}', '{"api_key": "***"}'),
        ("trainer.api_key=abcdef", "trainer.api_key=***"),
        ("password: abcdef", "password: ***"),
        ("ghp_0123456789abcdefghij is it", "*** is it"),
        ("/home/annalena/runs/a", "~/runs/a"),
        ("/home/annalena", "~"),
        ("/data/annalena/runs of annalena", "/data/~/runs of ~"),
        (
            "ray 2.60.0, 8 tokens, --prompt_key question",
            "ray 2.60.0, 8 tokens, --prompt_key question",
        ),
        ("/home/annalenas/x", "/home/annalenas/x"),
    ],
)
def test_what_is_hidden_and_what_stays(leaky: dict[str, str], text: str, shown: str) -> None:
    said = Scrub.of(os.environ)(text)
    assert said.replace("*** ***", "***") == shown


def test_an_account_that_is_no_person_stays_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("USER", "ray")
    monkeypatch.setenv("LOGNAME", "root")
    assert Scrub.of(os.environ)("ray 2.60.0 at /root/x of root") == "ray 2.60.0 at ~/x of root"


@pytest.mark.slow
def test_neither_file_nor_screen_of_a_real_run_holds_a_secret(
    leaky: dict[str, str], tmp_path: Path
) -> None:
    key, login = LEAKS[0], LEAKS[4]
    words = ["--quick", "--use_api_reward", "--rm_api_type", "openai", "--rm_model", "m",
             "--rm_base_url", f"http://ann:{login}@127.0.0.1:9/v1?api_key={key}",
             "--output", "told/d.json"]  # fmt: skip
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([*SCRIPT, *words], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr  # nobody answers at that address
    told = json.loads((tmp_path / "told" / "d.json").read_text())
    assert [one["name"] for one in told["checks"]] == [c.name for c in CHECKS if not c.is_slow]
    assert next(one for one in told["checks"] if one["name"] == "judge")["verdict"] == BAD
    assert told["environment"]["RAY_ADDRESS"] == "127.0.0.1:6379"
    everything = json.dumps(told) + done.stdout + done.stderr
    assert not [leak for leak in LEAKS if leak in everything]
    assert "annalena" not in everything
    assert not (tmp_path / "outputs").exists()


# ---- the command ---------------------------------------------------------------------------


def test_help_states_every_check_and_its_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--help"]) == 0
    assert capsys.readouterr().out == as_typed(HELP)
    for check in CHECKS:
        assert re.search(rf"^  {check.name} +{check.limit_s:.0f} s  ", HELP, re.M)
    for flag in OWN:
        assert f"--{flag.name}" in HELP


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--onyl", "disk"], "--onyl is not a flag. Did you mean --only?"),
        (["--only", "dsik"], "Did you mean disk?"),
        (["--only"], "--only needs a value: --only CHECK[,CHECK]."),
        (["--dry_run"], "--dry_run belongs to training"),
        (["--output", "/proc/nowhere/d.json"], "Name another file: --output /tmp/doctor.json"),
        (["--hardware", "tpu"], "--hardware tpu: takes one of cpu, gpu"),
    ],
)
def test_a_mistyped_word_is_put_right(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert cli.main(["doctor", *words]) == 2
    assert says in capsys.readouterr().err
    assert not Path("outputs/doctor.json").exists()


def test_the_file_stands_in_the_runs_folder_or_where_it_can(tmp_path: Path) -> None:
    assert command._file(None, tmp_path / "run") == tmp_path / "run" / "doctor.json"
    assert command._file("mine.json", tmp_path) == Path("mine.json")
    assert command._file(None, Path("/proc/nowhere")) == temp_dir() / "doctor.json"


def test_names_ask_for_slow_checks_even_when_quick() -> None:
    names = [check.name for check in command.chosen(["ray", "disk"], True)]
    assert names == ["disk", "ray"]
    assert not [check for check in command.chosen([], True) if check.is_slow]


def test_lines_fit_the_screen_and_commands_stay_whole() -> None:
    line = Line("disk", LOOK, "word " * 60, ("Name another folder: --output_dir FOLDER",))
    shown = list(wrapped(line))
    assert max(map(len, shown)) <= WIDTH and shown[0].startswith("  disk         look  word")
    assert shown[-1].endswith("-> Name another folder: --output_dir FOLDER")


def test_the_worst_part_gives_the_verdict() -> None:
    parts = [Part("a"), Part("b", LOOK, "do b"), Part("c", BAD, "do c"), Part("")]
    line = together("x", parts)
    assert (line.verdict, line.seen, line.remedies) == (BAD, "c; b; a", ("do c", "do b"))


def test_the_summary_names_what_is_bad() -> None:
    fine, odd, bad = Line("a", OK, ""), Line("b", LOOK, ""), Line("c", BAD, "")
    assert summary([fine]) == "All fine: 1 check."
    assert summary([fine, odd]) == "Nothing is BAD in 2 checks; 1 to look at."
    assert summary([fine, odd, bad]).startswith("1 of 3 checks BAD (c)")


def test_ctrl_c_ends_the_doctor_and_its_checks(tmp_path: Path) -> None:
    doctor = subprocess.Popen(
        [*SCRIPT, "--only", "fsdp"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert doctor.stdout is not None
    doctor.stdout.readline()
    while not (below := processes.descendants(doctor.pid)):
        assert doctor.poll() is None
    doctor.send_signal(signal.SIGINT)
    _, err = doctor.communicate(timeout=60)
    assert doctor.returncode == 130 and "Stopped." in err and "Traceback" not in err
    until = time.monotonic() + GONE_S
    while not all(processes.is_dead(pid) for pid in below):
        assert time.monotonic() < until
        time.sleep(0.05)
