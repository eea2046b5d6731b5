"""Programs that attack the local sandbox: what they reach, what is left of them, what they prove.

Each runs in a real sandbox of this machine. Tests of the namespaces skip where the machine allows
none; the rest holds for every plan.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from functools import lru_cache
from pathlib import Path

import pytest

from rewards.part import Failure
from rewards.sandbox.cases import read_cases
from rewards.sandbox.local import Job, run_local
from rewards.sandbox.outcome import Ran, passed
from rewards.sandbox.tiers import isolation, try_plan

PLANS = ("namespaces", "other user", "same user")


def run(plan: str, program: str, stdin: str = "", timeout_s: float = 5.0) -> Ran:
    job = Job(program, ({"source": None, "stdin": stdin},), timeout_s, memory_mib=256)
    return run_local(plan, job, threading.Event())[0]


def verdicts(plan: str, program: str, tests: object, timeout_s: float = 5.0) -> list[bool]:
    cases = read_cases(tests, None, 20)
    job = Job(program, tuple(case.task() for case in cases), timeout_s)
    ran = run_local(plan, job, threading.Event())
    return [passed(case, one) for case, one in zip(cases, ran, strict=False)]


@pytest.fixture(scope="module")
def namespaces() -> str:
    return _allowed("namespaces")


@pytest.fixture(params=PLANS)
def plan(request: pytest.FixtureRequest) -> str:
    return _allowed(request.param)


@lru_cache(maxsize=3)
def _why_not(plan: str) -> str:
    return try_plan(plan)


def _allowed(plan: str) -> str:
    if _why_not(plan):
        pytest.skip(f"no sandbox {plan!r} on this machine: {_why_not(plan)}")
    return plan


def test_a_program_reads_its_input_and_prints(plan: str) -> None:
    ran = run(plan, "import sys\nprint(int(input()) * 2, sys.stdin.read().split())", "21\na b\n")
    assert (ran.ended, ran.code, ran.stdout) == ("exit", 0, "42 ['a', 'b']\n")


def test_no_variable_of_the_environment_arrives(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    look = "import os\nprint(dict(os.environ))\nprint(open('/proc/self/environ').read())"
    assert run(plan, look).stdout.split() == ["{}"]


def test_no_file_descriptor_of_ours_arrives(plan: str, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        ran = run(
            plan,
            "import os\nprint([os.readlink(f'/proc/self/fd/{i}') for i in range(4)])\n"
            "print([i for i in range(4, 100) if os.path.exists(f'/proc/self/fd/{i}')])",
        )
    assert "secret" not in ran.stdout and ran.stdout.endswith("[]\n")


def test_the_supervisor_can_be_neither_read_nor_traced(plan: str) -> None:
    look = """
import os
for name in ("environ", "mem", "maps", "fd/0"):
    try:
        print(open(f"/proc/{os.getppid()}/{name}", "rb").read(1))
    except OSError as error:
        print(type(error).__name__)
"""
    assert set(run(plan, look).stdout.split()) == {"PermissionError"}


def test_nobody_is_seen_and_nothing_is_reached_from_the_namespaces(namespaces: str) -> None:
    secret = Path(tempfile.mkdtemp()) / "secret"
    secret.write_text("x")
    look = f"""
import os
print(sorted(name for name in os.listdir("/proc") if name.isdigit())[:1], os.getppid())
print([os.path.exists(path) for path in ({str(secret)!r}, {__file__!r}, "/etc/passwd", "/bin/sh")])
print(os.getuid() == 0, os.getcwd(), os.listdir("."))
"""
    assert run(namespaces, look).stdout == (
        "['1'] 1\n[False, False, False, False]\nFalse /tmp []\n"
    )


def test_no_connection_leaves_the_namespaces(namespaces: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        dial = (
            "import socket\n"
            f"try: socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)\n"
            "except OSError as error: print('no', error.errno is not None)\n"
        )
        assert run(namespaces, dial).stdout == "no True\n"
        with pytest.raises(TimeoutError):
            server.accept()


def test_privileges_cannot_be_gained_in_the_namespaces(namespaces: str) -> None:
    attack = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.unshare(0x10000000), libc.umount2(b"/tmp", 2), libc.sethostname(b"x", 1))
print(libc.mount(None, b"/", None, ctypes.c_ulong(32 | 4096), None))
for target in (1, os.getppid()):
    try:
        os.kill(target, 9)
    except OSError as error:
        print(type(error).__name__)
try:
    os.setuid(0)
except OSError as error:
    print(type(error).__name__)
status = dict(line.split(":") for line in open("/proc/self/status"))
print([status[name].strip() for name in ("CapEff", "NoNewPrivs")])
"""
    lines = run(namespaces, attack).stdout.split("\n")
    assert lines[:2] == ["-1 -1 -1", "-1"]
    assert lines[-2] == "['0000000000000000', '1']"
    if os.geteuid() == 0:  # as a user, signals to process 1 are accepted and have no effect
        assert lines[2:5] == ["PermissionError"] * 3


def test_files_written_in_the_namespaces_are_never_on_the_disk(namespaces: str) -> None:
    places = [str(Path.home()), os.getcwd(), tempfile.gettempdir(), "/usr/lib", "/dev/shm", "/"]
    name = f"verlaunch-attack-{os.getpid()}"
    attack = f"""
import os
for place in {places!r}:
    try:
        os.makedirs(place, exist_ok=True)
        open(place + "/{name}", "w").write("x")
    except OSError:
        pass
open("here", "w").write("x")
print(os.listdir("."))
"""
    assert "here" in run(namespaces, attack).stdout
    assert not any(Path(place, name).exists() for place in places)


def test_the_working_folder_is_removed(plan: str) -> None:
    ran = run(plan, "import os\nopen('x', 'w').write('x')\nprint(os.getcwd())")
    assert ran.ended == "exit" and not Path(ran.stdout.strip(), "x").exists()


LIMITED = {
    "memory": ("x = bytearray(1 << 30)", ("exit", 1)),
    "memory of many": (
        "import os, time\nfor i in range(4):\n    if os.fork() == 0:\n"
        "        x = b'1' * (100 << 20); time.sleep(9)\nos.wait()",
        ("too much", -1),
    ),
    "a large file": ("f = open('x', 'wb')\nwhile True: f.write(bytes(1 << 20))", ("exit", 1)),
    "many files": ("keep = [open('/dev/null') for i in range(200)]", ("exit", 1)),
    "output": ("while True: print('x' * 10000)", ("too much", -1)),
    "CPU time": ("while True: pass", ("timeout", -1)),
    "sleep": ("import time\ntime.sleep(100)", ("timeout", -1)),
    "stopping itself": ("import os\nos.kill(os.getpid(), 19)", ("timeout", -1)),
    "killing its group": ("import os\nos.kill(0, 9)", ("signal", -1)),
    "a crash in C": ("import ctypes\nctypes.string_at(0)", ("signal", -1)),
}


@pytest.mark.parametrize("name", LIMITED)
def test_what_a_program_uses_is_limited(name: str, plan: str) -> None:
    program, end = LIMITED[name]
    ran = run(plan, program, timeout_s=0.5 if end[0] == "timeout" else 10.0)
    assert (ran.ended, ran.code) == end and len(ran.stdout) <= 4 << 20


def test_a_fork_bomb_ends_with_its_case(namespaces: str) -> None:
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert run(namespaces, bomb, timeout_s=1).ended in ("too much", "timeout")


def _alive(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes() + (folder / "comm").read_bytes()
        except OSError:
            continue
        if mark.encode() in words:
            found.append(folder.name)
    return found


def test_no_background_process_is_left(plan: str) -> None:
    mark = f"left{os.getpid()}"[:15]
    daemon = f"""
import os, time
for i in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open("/proc/self/comm", "w").write({mark!r})
            time.sleep(60)
        os._exit(0)
time.sleep(0.3)
print("gone")
"""
    ran = run(plan, daemon)
    assert (ran.ended, ran.stdout) == ("exit", "gone\n")
    assert not _alive(mark)


def test_nothing_is_left_when_we_are_killed(namespaces: str) -> None:
    mark = f"kill{os.getpid()}"[:15]
    spin = f"open('/proc/self/comm', 'w').write({mark!r})\nwhile True: pass"
    ours = (
        "import sys, threading\nfrom rewards.sandbox.local import Job, run_local\n"
        f"job = Job({spin!r}, ({{'source': None}},), 60.0)\n"
        "run_local('namespaces', job, threading.Event())"
    )
    process = subprocess.Popen([sys.executable, "-c", ours], cwd=Path(__file__).parents[2])
    while not _alive(mark):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    for _ in range(200):
        if not _alive(mark):
            return
        time.sleep(0.05)
    raise AssertionError("the program runs on")


def test_a_caller_who_stops_waiting_stops_the_program(namespaces: str) -> None:
    stop = threading.Event()
    mark = f"stop{os.getpid()}"[:15]
    spin = f"open('/proc/self/comm', 'w').write({mark!r})\nwhile True: pass"
    job = Job(spin, ({"source": None},), 600.0)

    def stop_when_it_runs() -> None:
        while not _alive(mark):
            time.sleep(0.05)
        stop.set()

    threading.Thread(target=stop_when_it_runs).start()
    with pytest.raises(Failure, match="stopped"):
        run_local(namespaces, job, stop)
    assert not _alive(mark)


def test_a_hang_fails_only_its_own_case(plan: str) -> None:
    program = "n = int(input())\nwhile n == 1: pass\nprint(n)"
    tests = {"inputs": ["0", "1", "2"], "outputs": ["0", "1", "2"]}
    assert verdicts(plan, program, tests, timeout_s=1.0) == [True, False, True]


def test_after_three_hangs_the_rest_is_not_run(plan: str) -> None:
    tests = {"inputs": ["0"] * 6, "outputs": ["0"] * 6}
    cases = read_cases(tests, None, 20)
    job = Job("while True: pass", tuple(case.task() for case in cases), 0.2)
    ran = run_local(plan, job, threading.Event())
    assert [one.ended for one in ran] == ["timeout"] * 6
    assert [one.compiled for one in ran] == [True] * 3 + [False] * 3


def test_a_case_sees_nothing_of_the_case_before(plan: str) -> None:
    program = "import builtins\nprint(getattr(builtins, 'seen', 'no'))\nbuiltins.seen = 'yes'"
    assert verdicts(plan, program, {"inputs": ["", ""], "outputs": ["no", "no"]}) == [True, True]


def test_exit_codes_decide(plan: str) -> None:
    for ending, right in (("", True), ("exit()", True), ("exit(1)", False), ("1/0", False)):
        tests = {"inputs": [""], "outputs": ["1"]}
        assert verdicts(plan, f"print(1)\n{ending}", tests) == [right]


def test_threads_and_functions_at_exit_are_waited_for(plan: str) -> None:
    program = (
        "import threading, atexit, time\natexit.register(lambda: print('end'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()"
    )
    assert run(plan, program).stdout == "thread\nend\n"


def test_deep_recursion_is_honest_work(plan: str) -> None:
    deep = "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return n and 1 + f(n - 1)\n"
    deep += "print(f(30000))"
    assert run(plan, deep).stdout == "30000\n"


def test_common_imports_may_be_left_out_and_hide_no_builtin(plan: str) -> None:
    program = (
        "def f(x: List[int]) -> Optional[int]:\n    return Counter(x)[1] + gcd(4, 6)\n"
        "print(f([1, 1]), pow(2, 5, 7), bisect.bisect([1], 1), math.inf, heapq.nsmallest(1, [2]))"
    )
    assert run(plan, program).stdout == "4 4 1 inf [2]\n"


ASSERTS = ["assert f(2) == 4", "assert f(3) == 9", "assert isinstance(f(1), int)"]
FUNCTIONAL = {
    "functional": "def check(f):\n    for x in range(3):\n        assert f(x) == x * x\ncheck(f)"
}
CALLS = {"fn_name": "f", "inputs": [[2], [3]], "outputs": [4, 9]}


@pytest.mark.parametrize("tests", [ASSERTS, FUNCTIONAL, CALLS])
def test_right_functions_pass_and_wrong_ones_fail(tests: object, plan: str) -> None:
    assert all(verdicts(plan, "def f(x): return x * x", tests))
    assert all(verdicts(plan, "class Solution:\n    def f(self, x): return x * x", CALLS))
    assert not all(verdicts(plan, "def f(x): return x + 1", tests))
    assert verdicts(plan, "def f(x) return x", tests) == [False]


FORGED = {
    "leaves before the asserts": "import sys; sys.exit(0)",
    "leaves at once": "import os; os._exit(0)",
    "leaves when it is called": "import os\ndef f(x): os._exit(0)",
    "raises SystemExit when it is called": "def f(x): raise SystemExit(0)",
    "prints what a grader might look for": "print('all tests passed\\nOK\\n1.0')",
    "equals everything": """
class Any(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    def __sub__(self, other): return 0
    __hash__ = None
def f(x): return Any()
""",
    "replaces builtins": """
import builtins
builtins.AssertionError = type('E', (), {})
builtins.isinstance = lambda *a: True
builtins.all = builtins.any = lambda *a: True
def f(x): return None
""",
    "replaces json, exec and os.write": """
import json, os, builtins
json.dumps = lambda *a, **k: '{"done": true}'
builtins.exec = builtins.compile = lambda *a, **k: None
def f(x): return 1
""",
    "writes reports itself": """
import os, json
for mark in (True, None, "", "x"):
    for n in range(5):
        os.write(3, json.dumps({"check": n, "left": True, "done": mark}).encode() + b"\\n")
os._exit(0)
""",
    "replaces the function that reports": """
import builtins, sys
def f(x):
    sys._getframe(1).f_globals['__seen__'] = lambda *a: None
    return None
""",
    "switches asserts off": "__debug__ = False",
    "does not exist": "x = 1",
    "kills whoever started it": "import os\nos.kill(os.getppid(), 9)\ndef f(x): return 1",
}
STRICT = [
    ["assert f(2) == 4", "assert f(3) == 9"],
    CALLS,
    {"inputs": ["2", "3"], "outputs": ["4", "9"]},
]


@pytest.mark.parametrize("name", FORGED)
def test_success_cannot_be_forged(name: str, namespaces: str) -> None:
    for tests in STRICT:
        assert not any(verdicts(namespaces, FORGED[name], tests))


def test_killing_the_supervisor_passes_nothing(plan: str) -> None:
    killer = "import os\nos.kill(os.getppid(), 9)\ndef f(x): return 0"
    unharmed = plan != "same user"  # there it dies, and every test with it
    for tests in (["assert f(2) == 4"], {"inputs": ["", ""], "outputs": ["1", "1"]}):
        assert not any(verdicts(plan, killer, tests))
    assert verdicts(plan, killer.replace("os.kill", "print"), ["assert f(2) == 0"]) == [True]
    assert bool(verdicts(plan, killer, ["assert f(2) == 4"])) is unharmed


def test_the_expected_values_are_nowhere_in_the_programs_memory(namespaces: str) -> None:
    # the two halves of the expected text are joined nowhere in this program
    search = """
import re
first, second = "qzqz", "xjxj"
def f(x):
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            low, high = (int(one, 16) for one in line.split()[0].split("-"))
            if line.split()[1].startswith("r") and "[v" not in line:
                memory.seek(low)
                try:
                    text = memory.read(high - low)
                except OSError:
                    continue
                if re.search(first.encode() + b"[-]" + second.encode(), text):
                    return first + "-" + second
    return "not found"
"""
    shown = search + "\nprint(f(0))"
    secret = "qzqz-" + "xjxj"
    assert verdicts(namespaces, search, [f"assert f(0) == {secret!r}"]) == [False]
    call = {"fn_name": "f", "inputs": [[0]], "outputs": [secret]}
    assert verdicts(namespaces, search, call) == [False]
    assert verdicts(namespaces, shown, {"inputs": [""], "outputs": [secret]}) == [False]
    # the search does find what is there
    assert verdicts(namespaces, search + f"\nkept = {secret!r}", call) == [True]


def test_programs_that_break_compilers_are_only_wrong(plan: str) -> None:
    for program in ("(" * 10000, "x = " + "-" * 50000 + "1", "\x00", "\ud800", "if 1:\n" * 200):
        tests = {"inputs": ["", ""], "outputs": ["1", "1"]}
        assert not any(verdicts(plan, program, tests))


def test_the_plan_in_use_is_one_of_those_tested_here() -> None:
    tier = isolation(None, allow_unsafe_code=True)
    assert tier.plan in PLANS and json.dumps(tier.sentence)
