"""Environment variables of other vendors and of debugging that change what runs below.

    ROCR_VISIBLE_DEVICES is set ...: unset ROCR_VISIBLE_DEVICES

Slurm sets those of AMD's cards beside NVIDIA's, and verl's workers stop at them
(verl/single_controller/base/worker.py:244-267) on the CPU too, for Ray names cards there as well.
"""

from collections.abc import Iterator

from verlaunch.config.tree import get
from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene

AMD = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
SLOW = {
    "CUDA_LAUNCH_BLOCKING": "every CUDA kernel is waited for: several times slower",
    "TORCH_DISTRIBUTED_DEBUG": "with DETAIL every collective is checked by another one",
}
OFF = ("", "0", "OFF", "INFO")
# Right for one machine, where docs/failures.md advises some of them; no way from one to another.
LONELY = {
    "GLOO_SOCKET_IFNAME": ("lo",),
    "NCCL_SOCKET_IFNAME": ("lo", "=lo"),
    "VLLM_HOST_IP": ("127.0.0.1", "::1", "localhost"),
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": ("0", "false"),
}


def check(scene: Scene) -> Iterator[Finding]:
    for name in AMD:
        if scene.env.get(name):
            yield Finding(
                f"{name} is set (Slurm does that beside CUDA_VISIBLE_DEVICES), and verl's workers "
                f"stop at it. Type: unset {name}"
            )
    for name, why in SLOW.items():
        if scene.config.hardware == "gpu" and scene.env.get(name, "") not in OFF:
            yield Finding(f"{name} is set: {why}. Type: unset {name}", stops=False)
    for name, alone in LONELY.items():
        if get(scene.config.verl, "trainer.nnodes") > 1 and scene.env.get(name) in alone:
            yield Finding(
                f"{name}={scene.env[name]}: the machines of this run would not reach each other. "
                f"Type: unset {name}"
            )
