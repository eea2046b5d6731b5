"""Finds the failure that came first in a log, and says what to do about it.

    explain(Ended(["torch.OutOfMemoryError: CUDA out of memory. ..."], "updating", ...)).cause
    ->  "GPU 0 ran out of memory while updating the critic: 2.00 GiB more were wanted, ..."

One cause is followed by many errors: wrappers of Ray's, actors that die with the one they waited
for, connections that close. So kinds have a rank (table.py), and within a rank the first one wins.
"""

import re
from collections.abc import Iterator, Sequence

from verlaunch.launch.failures.ended import Ended, Explanation
from verlaunch.launch.failures.table import RANKS, Failure, failures
from verlaunch.launch.failures.ways_out import REMEDIES, Run
from verlaunch.text import GIB

MOST_TODO = 4
LONGEST = 4000  # characters of a line that are looked at: vLLM lists 200 architectures
KILLED = (-9, 137)  # by SIGKILL, the only signal that leaves no last words
WARNING = re.compile(r"Warning: |\bWARNING\b")
# In a traceback a line of code follows that of its file, and quotes messages that were never told.
FILE = re.compile(r'^\W*(ERROR .*\] )?\s*File ".*", line \d+')
CODE = re.compile(r"^\W*(ERROR .*\])?\s{3}")
BEFORE, AFTER = 80, 40  # lines of log around an error that belong to it
# The most telling first: a method of verl's worker or trainer, what a reader calls it.
WORK = (
    (r"critic_train_mini_batch|_update_critic\b", "updating the critic"),
    (r"_?update_actor\b", "updating the policy"),
    (r"compute_ref_log_prob\b", "scoring with the reference model"),
    (r"_?compute_(old_)?log_prob\b", "computing the policy's log-probabilities"),
    (r"critic_infer_batch|_compute_values\b", "computing values with the critic"),
    (r"_save_checkpoint\b|save_checkpoint\(\)", "saving a checkpoint"),
    (r"_load_checkpoint\b|load_checkpoint\(\)", "loading a checkpoint"),
    (r"in export_last\b", "exporting the model"),
    (r"\b(_initialize_kv_caches|determine_available_memory|_dummy_sampler_run|capture_model|"
     r"init_device)\b|EngineCore failed to start", "starting vLLM"),
    (r"\b(wake_up|resume_weights|resume_kv_cache)\b", "waking vLLM"),
    (r"\b(update_weights|receive_weights)\b", "handing the weights to vLLM"),
    (r"\b(execute_model|_dummy_run|sample_tokens)\b", "generating"),
    (r"\binit_model\b|critic_reset|_build_(module|model_optimizer|fsdp_module)\b",
     "loading the models"),
)  # fmt: skip
PATTERNS = tuple((re.compile(names), words) for names, words in WORK)
KERNEL, CRASHED = "The kernel ended a process because the memory was full", "A process was killed"


def explain(ended: Ended) -> Explanation | None:
    """None for a failure of no known kind."""
    found = min(_matches(ended), default=None, key=lambda seen: seen[0])
    if found is not None and found[1].rank != "follows":
        return _explanation(found[1], found[2], ended, found[0][1])
    if ended.kernel_kills:
        return _explanation(_named(KERNEL), None, ended, len(ended.lines))
    if found is not None:
        return _explanation(found[1], found[2], ended, found[0][1])
    if ended.died or ended.exit_code in KILLED:
        return _explanation(_named(CRASHED), None, ended, len(ended.lines))
    return None


Seen = tuple[tuple[int, int, int], Failure, re.Match[str]]


def _matches(ended: Ended) -> Iterator[Seen]:
    """Each with its place: rank, line, row of the table."""
    before = ""
    for index, line in enumerate(ended.lines):
        is_code, before = FILE.match(before) and CODE.match(line), line
        if is_code or WARNING.search(line):
            continue
        for row, failure in enumerate(failures()):
            if match := failure.search(line[:LONGEST]):
                yield (RANKS.index(failure.rank), index, row), failure, match
                break


def _named(name: str) -> Failure:
    return next(failure for failure in failures() if failure.name == name)


def _explanation(
    failure: Failure, match: re.Match[str] | None, ended: Ended, index: int
) -> Explanation:
    groups = match.groupdict() if match else {}
    found = {name: text for name, text in groups.items() if text is not None}
    log = {"log": ended.log} if ended.log else {}
    work = _doing(ended.lines, index, ended.phase)
    words = _Words({**found, **_made(found), **log, "doing": work})
    run = Run(ended.config, ended.hardware, found, work)
    todo = (
        REMEDIES[name](run) if name in REMEDIES else name.format_map(words) for name in failure.todo
    )
    return Explanation(
        name=failure.name,
        cause=failure.says.format_map(words),
        why=failure.why,
        todo=tuple(text for text in todo if text)[:MOST_TODO],
    )


def _doing(lines: Sequence[str], index: int, phase: str) -> str:
    """Which work was under way, by the names in the traceback: in a phase of the screen policy,
    critic and reference take turns. `phase` where the lines around `index` say no more."""
    around = "\n".join(lines[max(0, index - BEFORE) : index + AFTER])
    return next((words for pattern, words in PATTERNS if pattern.search(around)), phase)


class _Words(dict[str, str]):
    """What a sentence may use; of two patterns of a kind, one may know less than the other."""

    def __missing__(self, name: str) -> str:
        return UNKNOWN.get(name, "")


UNKNOWN = {
    "log": "the log",
    "file": "a file",
    "folder": "its folder",
    "weight": "a weight",
    "has": "another shape",
    "wants": "its own",
    "what": "see the log",
    "names": "see its config.json",
    "type": "see its config.json",
    "model": "that was given",
    "key": "see the log",
    "wanted": "see the log",
    "signal": "see the log",
    "module": "that the log names",
}


def _made(found: dict[str, str]) -> dict[str, str]:
    """Optional parts of sentences, with their joining words."""
    made = {}
    if "total" in found and "used" in found:
        made["of_total"] = f" ({found['used']} of {found['total']} GB)"
    if "wanted_bytes" in found:
        made["of_wanted"] = f": {int(found['wanted_bytes']) / GIB:.2f} GiB more were wanted"
    if "size" in found:
        made["of_size"] = f" (head size {found['size']})"
    if waited := found.get("wait_s") or found.get("wait_ms"):
        seconds = float(waited) / (1 if "wait_s" in found else 1000)
        made["waited"] = f"{seconds:.0f} s "
    return made
