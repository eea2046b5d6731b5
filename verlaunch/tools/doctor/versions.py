"""Whether the installed packages are those of the lock: verl's hooks move between versions.

look_at_versions(patient, say, 20).seen    # "all 197 packages as in locks/cpu.txt"
"""

from verlaunch.machine.packages import CORE, installed
from verlaunch.plan.guards.locked_versions import SHOWN, differing, expected, is_ours
from verlaunch.tools.doctor.line import BAD, LOOK, OK, Line
from verlaunch.tools.doctor.patient import Patient, Say


def look_at_versions(patient: Patient, say: Say, limit_s: float) -> Line:
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
