"""What a run writes: checkpoints, and the folders that other programs load.

    disk_of(shape, None, use).checkpoint  ->  11_856_786_432

A checkpoint holds every role's weights as FSDP has them and AdamW's two moments of what is trained
(utils/checkpoint/fsdp_checkpoint_manager.py:238); with LoRA the whole model is in it all the same.
While one is written, those kept and the best are still there (checkpoints/retention.py).
"""

from verlaunch.plan.memory.phases import Disk
from verlaunch.plan.memory.shape import Shape
from verlaunch.plan.memory.trained_models import MOMENTS, Role, roles_of
from verlaunch.plan.memory.use import Use

# The tokenizer's files (Qwen2.5: 11 MB for 152,000 words) and, of any model, configs and states.
WORD, SMALL_FILES = 80, 100_000
BEST = 1
BEING_WRITTEN = 1


def _saved(role: Role, use: Use) -> int:
    extra = role.trained if role.lora else 0
    numbers = role.shape.parameters + extra + MOMENTS * role.trained
    return numbers * use.param_bytes + _small(role.shape)


def _small(shape: Shape) -> int:
    return shape.vocab * WORD + SMALL_FILES


def disk_of(shape: Shape, critic: Shape | None, use: Use) -> Disk:
    roles = roles_of(shape, critic, use)
    adapter = roles[0].trained * use.param_bytes if use.lora_rank else 0
    actor = shape.parameters * shape.stored + adapter + _small(shape)
    others = sum(role.shape.parameters * (critic or shape).stored for role in roles[1:])
    exports = (actor if use.export else 0) + use.epoch_exports * (actor + others)
    checkpoint = sum(_saved(role, use) for role in roles)
    return Disk(checkpoint, use.keep + BEST + BEING_WRITTEN, exports)
