"""Other Ray clusters of this user on this machine, and variables that bend ours.

    RAY_ADDRESS=10.0.0.1:6379 is not used: every run has a cluster of its own. ...

A run starts a private cluster (engine/driver.py: address="local"), so RAY_ADDRESS and
/tmp/ray/ray_current_cluster do nothing, and other clusters are in the way of nothing but memory and
cores. What an earlier attempt in this very folder left is ended at the start. With --ray_address
the cluster is another's (engine/guest.py): this machine has to belong to it.
"""

from collections.abc import Iterator

from verlaunch.cluster import foreign
from verlaunch.config.tree import get
from verlaunch.errors import Finding, UserError
from verlaunch.plan.guards.scene import Scene

SHOWN = 3
CLIENT = "RAY_CLIENT_MODE"
# Ray reads these when it starts a head, over what ray.init is given.
BENDING = {
    "RAY_OVERRIDE_RESOURCES": "it replaces the CPUs and GPUs that verl waits for",
    "RAY_REDIS_ADDRESS": "the cluster would keep its state in a Redis of others",
    "RAY_USE_TLS": "our cluster has no certificates, and stays on this machine",
    CLIENT: "it makes ray.init talk to a cluster elsewhere",
}
HARMLESS = ("", "0", "false")
AUTH = "RAY_AUTH_MODE"
DISABLED = (
    "other users of this machine could run code in the run's Ray cluster. Type: unset RAY_AUTH_MODE"
)
DISABLED_SEVERAL = (
    "it is not used: the machines of a run ask each other for its token. To silence this warning: "
    "unset RAY_AUTH_MODE"
)


def check(scene: Scene) -> Iterator[Finding]:
    if asked := scene.config.launch["ray_address"]:
        yield from _as_guest(asked, scene)
        return
    yield from _others(scene)
    if address := scene.env.get("RAY_ADDRESS"):
        yield Finding(
            f"RAY_ADDRESS={address} is not used: every run has a Ray cluster of its own. To train "
            f"in that one: --ray_address {address}. To silence this warning: unset RAY_ADDRESS",
            stops=False,
        )
    for name, why in BENDING.items():
        if scene.env.get(name, "").lower() not in HARMLESS:
            yield Finding(f"{name} is set: {why}. Type: unset {name}")
    yield from _open_to_others(scene)


def _open_to_others(scene: Scene) -> Iterator[Finding]:
    mode = scene.env.get(AUTH, "token")
    if mode.lower() == "token":
        return
    several = get(scene.config.verl, "trainer.nnodes") > 1
    meant = "" if mode == "disabled" else " Ray takes any word but token for disabled:"
    what = DISABLED_SEVERAL if several else DISABLED
    yield Finding(f"{AUTH}={mode}:{meant} {what}", stops=False)


def _as_guest(asked: str, scene: Scene) -> Iterator[Finding]:
    try:
        foreign.find(asked, foreign.here())
    except UserError as error:
        yield from (Finding(problem) for problem in error.problems)
    if scene.env.get(CLIENT, "").lower() not in HARMLESS:
        yield Finding(f"{CLIENT} is set: {BENDING[CLIENT]}. Type: unset {CLIENT}")


def _others(scene: Scene) -> Iterator[Finding]:
    others = [one for one in scene.host.ray if not one.startswith(f"run in {scene.folder} (")]
    if not others:
        return
    rest = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    strangers = any(not one.startswith("run in ") for one in others)
    way = " A cluster that nobody uses: kill its pid." if strangers else ""
    yield Finding(
        f"Also running here with Ray: {'; '.join(others[:SHOWN])}{rest}. They share memory, cores "
        f"and GPUs with this run, and nothing else.{way}",
        stops=False,
    )
