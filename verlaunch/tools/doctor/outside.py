"""The checks of what a run reads and writes: disks, the model hub, the judge's endpoint.

look_at_disk(patient, say, limit_s=60)

Each asks in a process of its own as well: a network disk, or a name server, may never answer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RewardSpec, to_dict
from verlaunch.config.tree import Config, get
from verlaunch.errors import UserError
from verlaunch.inputs.choice import MODEL
from verlaunch.inputs.models import is_local
from verlaunch.machine.disk import amount
from verlaunch.paths import temp_dir
from verlaunch.plan.reward.spec import reward_spec
from verlaunch.tools.doctor.heavy import asked
from verlaunch.tools.doctor.look import BAD, LOOK, OK, Line, Part, Patient, Say, enough

SLOW_MB_S = 50.0
LEAST_ROOM = 10e9  # bytes; the checkpoints of a 0.5B model take about as much
MEGABYTES, QUICK_MEGABYTES = 256, 32
ANY_MODEL = "Qwen/Qwen2.5-0.5B"
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
SLOW_ANSWER_S = 20.0


# ---- disk ----------------------------------------------------------------------------------


def _folder(what: str, path: str, said: Mapping[str, Any], flag: str) -> Part:
    if "error" in said:
        return Part(f"{what} {path} cannot be written ({said['error']})", BAD,
                    f"Name another folder: {flag}")  # fmt: skip
    speed, free = said["write"], said["free"]
    text = (f"{what} {path}: write {speed:.0f} MB/s, read {said['read']:.0f} MB/s, "
            f"{amount(free)} free")  # fmt: skip
    if free < LEAST_ROOM:
        return Part(text, LOOK, f"Make room, or name another folder: {flag}")
    minutes = f"{1e4 / max(speed, 0.1) / 60:.0f} minutes"
    slow = f"A checkpoint of 10 GB takes {minutes} there; a local disk is faster: {flag}"
    return enough(speed >= SLOW_MB_S, text, slow)


def _folders(patient: Patient) -> list[tuple[str, Path, str]]:
    return [
        ("output", patient.folder, "--output_dir FOLDER"),
        ("cache", patient.cache, "VERLAUNCH_CACHE=FOLDER"),
        ("temporary", temp_dir(), "TMPDIR=/some/short/path"),
    ]


def look_at_disk(patient: Patient, say: Say, limit_s: float) -> Line:
    folders = _folders(patient)
    paths = [str(path) for _, path, _ in folders]

    def read(facts: dict[str, Any]) -> list[Part]:
        return [_folder(what, str(path), facts[str(path)], flag) for what, path, flag in folders]

    given = {"folders": list(dict.fromkeys(paths)),
             "megabytes": QUICK_MEGABYTES if patient.quick else MEGABYTES}  # fmt: skip
    usual = ("A disk that does not answer is mostly a network disk: df -h; then --output_dir "
             "FOLDER on another",)  # fmt: skip
    return asked(patient, say, limit_s, "disk", given, read, usual)


# ---- network -------------------------------------------------------------------------------


def _proxy(env: Mapping[str, str]) -> list[Part]:
    url = next((env[name] for name in PROXIES if env.get(name)), "")
    return [Part(f"through the proxy {urlsplit(url).hostname or 'of the environment'}")] * bool(url)


def _wanted_model(config: Config) -> str:
    name = get(config.verl, MODEL)
    return name if name and not is_local(name) else ANY_MODEL


def look_at_network(patient: Patient, say: Say, limit_s: float) -> Line:
    model = _wanted_model(patient.config)
    usual = ("A local --model FOLDER needs no hub. Behind a proxy: export HTTPS_PROXY=...; a "
             "mirror: export HF_ENDPOINT=...",)  # fmt: skip

    def read(facts: dict[str, Any]) -> list[Part]:
        if facts.get("offline"):
            return [Part("HF_HUB_OFFLINE is set: models and data come from this machine alone")]
        if "error" in facts:
            return [Part(f"{facts['endpoint']}: {facts['error']}", LOOK, usual[0]),
                    *_proxy(patient.env)]  # fmt: skip
        speed = facts["megabytes_per_s"]
        reads = f", reads at {speed:.1f} MB/s" if speed is not None else ""
        said = f"{facts['endpoint']} answers in {facts['seconds']:.2f} s{reads}"
        return [Part(said), *_proxy(patient.env)]

    line = asked(patient, say, limit_s, "network", {"model": model}, read, usual)
    # Without a hub a run on local files is as good as any.
    return replace(line, verdict=LOOK) if line.verdict == BAD else line


# ---- the judge -----------------------------------------------------------------------------


def _servers(spec: RewardSpec) -> Iterator[RewardSpec]:
    """Each part that somebody else serves, alone and with no cache: it is to answer now."""
    for part in spec.parts:
        if isinstance(part.source, JudgeSpec):
            part = replace(part, source=replace(part.source, cache=None))
        elif not (isinstance(part.source, ModelSpec) and part.source.url):
            continue
        yield RewardSpec((part,), {part.name: 1.0})


def _remedy(part: PartSpec) -> str:
    if isinstance(part.source, JudgeSpec):
        return ("See its key, address and model: the variables in docs/rewards.md, "
                "--rm_base_url, --rm_model")  # fmt: skip
    return "See that the server runs, and its address: --rm_url"


def _answered(said: Mapping[str, Any], remedy: str) -> Part:
    if "error" in said:
        return Part(said["error"], BAD, remedy)
    seen, notes = f"{said['name']} answers: {said['seconds']:.1f} s", " ".join(said["notes"])
    if notes:
        return Part(f"{seen}; {notes}", LOOK, "Train with it as it is, or name another: --rm_model")
    slow = "A step waits for it: a faster --rm_model, or a nearer region"
    return enough(said["seconds"] <= SLOW_ANSWER_S, seen, slow)


def look_at_judge(patient: Patient, say: Say, limit_s: float) -> Line:
    try:
        asked_for = list(_servers(reward_spec(patient.config, patient.folder)))
    except UserError as error:
        return Line("judge", BAD, " ".join(error.problems), ("Fix these flags, and run it again",))
    if not asked_for:
        return Line("judge", OK, "these flags name no judge and no reward server")
    wants = {spec.parts[0].name: _remedy(spec.parts[0]) for spec in asked_for}

    def read(facts: dict[str, Any]) -> list[Part]:
        return [_answered(said, wants[said["name"]]) for said in facts["parts"]]

    given = {"parts": [to_dict(spec) for spec in asked_for]}
    return asked(patient, say, limit_s, "judge", given, read, tuple(dict.fromkeys(wants.values())))
