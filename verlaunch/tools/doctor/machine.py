"""The machine itself: what it has, how much of it may be used, and whether versions are the lock's.

look_at_machine(patient, say, 20).seen    # "2 cores, 23 GiB of memory, no GPU; Python 3.11, Linux"
"""

import platform
import shutil

from verlaunch.machine.disk import amount
from verlaunch.machine.host import Host
from verlaunch.machine.packages import CORE, installed
from verlaunch.plan.guards.machine.locked_versions import SHOWN, differing, expected, is_ours
from verlaunch.text import GIB
from verlaunch.tools.doctor.look import BAD, LOOK, OK, Line, Part, Patient, Say, enough, together

LEAST_MEMORY_GIB = 6.0  # the demo's own run takes about 5
LEAST_SHM = GIB  # holds the object store of some thousand short responses; --dry_run knows a run's
SHM_SIZE = "2g"  # LEAST_SHM, and as much for others
LEAST_FILES, LEAST_PROCESSES = 8192, 4096  # Ray asks for 65536 files on clusters
OTHERS_SHOWN = 3
NO_GPU = (
    "Type nvidia-smi and fix what it says: a driver to install, or in a container "
    "docker run --gpus all. Without a GPU: --hardware cpu"
)
SHOW_GPUS = "unset CUDA_VISIBLE_DEVICES"


def driver(has: Host) -> str:
    return next((card.driver for card in has.cards if card.driver), "unknown")


def _gpus(patient: Patient) -> Part:
    gpus = patient.machine.gpus
    if gpus:
        names = dict.fromkeys(f"{gpu.name}, {gpu.memory_gib:.0f} GiB" for gpu in gpus)
        return Part(f"{len(gpus)} x {' and '.join(names)}, driver {driver(patient.host)}")
    verdict = BAD if patient.on_gpus else LOOK
    if patient.host.smi_error:
        return Part(f"nvidia-smi fails: {patient.host.smi_error}", verdict, NO_GPU)
    hidden = patient.env.get("CUDA_VISIBLE_DEVICES")
    if patient.host.cards and (hidden or patient.on_gpus):  # empty: hidden on purpose
        return Part(f"CUDA_VISIBLE_DEVICES={hidden} hides every GPU", verdict, SHOW_GPUS)
    if patient.on_gpus:
        return Part("--hardware gpu, and nvidia-smi shows no GPU", BAD, NO_GPU)
    if shutil.which("nvidia-smi") and not patient.host.cards:
        return Part("nvidia-smi shows no GPU, so this is the CPU profile", LOOK, NO_GPU)
    return Part("no GPU" if not patient.host.cards else "no GPU is used")


def look_at_machine(patient: Patient, say: Say, limit_s: float) -> Line:
    cores, memory = patient.machine.cores, patient.machine.memory_gib
    more = f"Give it {LEAST_MEMORY_GIB:g} GiB or more: even the demo takes about 5"
    parts = [
        Part(f"{cores} core{'s' * (cores != 1)}"),
        enough(memory >= LEAST_MEMORY_GIB, f"{memory:.1f} GiB of memory", more),
        _gpus(patient),
        Part(f"Python {platform.python_version()}, {system()}"),
    ]
    return together("machine", parts, {"gpus": [gpu.name for gpu in patient.machine.gpus]})


def system() -> str:
    """ "Debian GNU/Linux 12, kernel 6.1.0, x86_64" """
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        name = platform.system()
    return f"{name}, kernel {platform.release()}, {platform.machine()}"


def _shared(has: Host) -> Part:
    if has.shm_bytes is None:
        return Part("no /dev/shm", BAD, f"Mount one: docker run --shm-size={SHM_SIZE}")
    remedy = (f"Ray and vLLM share memory there: docker run --shm-size={SHM_SIZE}, or sudo mount "
              f"-o remount,size={SHM_SIZE} /dev/shm. What a run needs: --dry_run")  # fmt: skip
    is_enough = has.shm_bytes >= LEAST_SHM
    return enough(is_enough, f"{amount(has.shm_bytes)} free in /dev/shm", remedy)


def _files(has: Host) -> Part:
    remedy = ("Only root can raise it: '* hard nofile 65536' in /etc/security/limits.conf (in a "
              "container: --ulimit nofile=65536:65536)")  # fmt: skip
    return enough(has.open_files >= LEAST_FILES, f"{has.open_files} open files", remedy)


def _processes(has: Host) -> Part:
    if has.processes is None:
        return Part("processes without limit")
    left = max(0, has.processes - has.threads)
    if left < LEAST_PROCESSES:
        return Part(f"{left} more processes or threads ({has.threads_by} {has.processes})", LOOK,
                    "Raise it: ulimit -u unlimited (in a container: --pids-limit -1)")  # fmt: skip
    return Part(f"{left} more processes or threads")


def _others(has: Host) -> list[Part]:
    """Programs of others: they take memory, and nothing else."""
    busy = [f"{one.name} (process {one.pid}) holds {amount(one.bytes)} of GPU {one.gpu}"
            for one in has.busy[:OTHERS_SHOWN]]  # fmt: skip
    parts = [Part(said, LOOK, "End those that you can spare: nvidia-smi") for said in busy]
    return parts + [Part(f"another Ray: {ray}") for ray in has.ray[:OTHERS_SHOWN]]


def look_at_limits(patient: Patient, say: Say, limit_s: float) -> Line:
    has = patient.host
    end_some = "End other programs: free -g; ps aux --sort=-rss | head"
    has_room = has.free_memory_gib >= LEAST_MEMORY_GIB
    free = enough(has_room, f"{has.free_memory_gib:.1f} GiB of memory free", end_some)
    parts = [_shared(has), free, _files(has), _processes(has), *_others(has)]
    if not has.loopback:
        up = "Bring loopback up: sudo ip link set lo up"
        parts.append(Part("no port on 127.0.0.1 can be had", BAD, up))
    return together("limits", parts)


def look_at_versions(patient: Patient, say: Say, limit_s: float) -> Line:
    """verl's hooks move between versions."""
    pins, lock = expected(patient.hardware), f"locks/{patient.hardware}.txt"
    if not pins:
        return Line("versions", OK, "installed without a checkout: there is no lock here")
    told = differing(pins, installed())
    if not told:
        return Line("versions", OK, f"all {len(pins)} packages as in {lock}")
    first = sorted(told, key=lambda name: (name not in CORE, name))
    more = f" and {len(first) - SHOWN} more" if len(first) > SHOWN else ""
    seen = f"not as in {lock}: {', '.join(told[name] for name in first[:SHOWN])}{more}"
    is_core = bool(told.keys() & set(CORE))
    verdict = BAD if is_core and is_ours() else LOOK
    remedy = f"Install them again: rm .venv/stamp && ./train.sh --hardware {patient.hardware}"
    if not is_ours():
        remedy = f"The tested set: ./train.sh makes it, or pip install --no-deps -r {lock}"
    return Line("versions", verdict, seen, (remedy,), {"differing": list(told.values())})
