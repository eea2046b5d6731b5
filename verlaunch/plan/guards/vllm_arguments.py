"""What vLLM, and verl's rollouts with it, cannot do with a configuration.

    [finding.text for finding in check(scene)]
    ->  ["actor_rollout_ref.rollout.engine_kwargs.vllm.swap_space=4: this vLLM has no argument
          swap_space."]

Left out on purpose: memory (verlaunch/plan/memory), and lengths (fits.py).
"""

import ast
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from verlaunch.config.keys import yaml_word
from verlaunch.config.tree import ROLLOUT, get, ranks
from verlaunch.config.values import closest
from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.guards.values_taken import of_their_kind, said
from verlaunch.text import plural

VLLM = f"{ROLLOUT}.engine_kwargs.vllm"
# vLLM's word -> the rollout's own key, which plan and memory planner read.
RENAMED = {"tensor_parallel_size": "tensor_model_parallel_size"}
# Without the first, weights never reach vLLM; on the CPU the other keeps a replica's worker inside
# its engine.
NEEDED, EXECUTOR = "worker_extension_cls", "distributed_executor_backend"
# Classes of arguments by file: the engine's, and those of the server before it.
SOURCES = {
    "engine/arg_utils.py": ("EngineArgs", "AsyncEngineArgs"),
    "entrypoints/openai/cli_args.py": ("BaseFrontendArgs", "FrontendArgs"),
}


def check(scene: Scene) -> Iterator[Finding]:
    if not of_their_kind(scene.config):
        return
    yield from _replicas(scene)
    yield from _determinism(scene)
    yield from _vllm(scene)
    yield from _prompts_at_once(scene)


def _determinism(scene: Scene) -> Iterator[Finding]:
    """It makes vLLM choose kernels that its CPU build does not have (VLLM_BATCH_INVARIANT)."""
    key = f"{ROLLOUT}.full_determinism"
    if scene.config.hardware == "cpu" and get(scene.config.verl, key):
        yield Finding(
            f"{key}=true: vLLM has no kernels for it on the CPU, and the first response would end "
            "the run. Leave it out: requests have seeds of their own, and two runs of one command "
            "give the same samples."
        )


def _replicas(scene: Scene) -> Iterator[Finding]:
    verl, world = scene.config.verl, ranks(scene.config.verl)
    tp, dp, ep = (
        get(verl, f"{ROLLOUT}.{name}") or 1
        for name in ("tensor_model_parallel_size", "data_parallel_size", "expert_parallel_size")
    )
    if (stages := get(verl, f"{ROLLOUT}.pipeline_model_parallel_size")) != 1:
        yield Finding(
            f"{ROLLOUT}.pipeline_model_parallel_size={stages}: verl has no pipelines in vLLM. "
            f"Use --tp_size {stages}."
        )
    if dp > 1 and world % (tp * dp):
        yield Finding(
            f"{ROLLOUT}.data_parallel_size={dp} x --tp_size {tp} must divide --n_gpus {world}. "
            f"Leave it out: {plural(world // tp, 'replica')} without it."
        )
    if ep > 1 and ep != tp * dp:
        yield Finding(
            f"{ROLLOUT}.expert_parallel_size={ep} must be --tp_size x data_parallel_size = "
            f"{tp * dp}. Use {ROLLOUT}.expert_parallel_size={tp * dp}."
        )


def _vllm(scene: Scene) -> Iterator[Finding]:
    verl = scene.config.verl
    tokens, sequences = f"{ROLLOUT}.max_num_batched_tokens", f"{ROLLOUT}.max_num_seqs"
    if get(verl, tokens) < get(verl, sequences):
        yield Finding(
            f"{said(verl, tokens)} is below {said(verl, sequences)}, which vLLM refuses. "
            f"Use {tokens}={max(8192, get(verl, sequences))}."
        )
    typed = sorted(scene.config.given | scene.config.recipe_keys)
    if VLLM in typed:  # what the run needs there is gone then
        yield Finding(f"{VLLM} is a section, not a value. Leave it out, or set a key in it.")
    for key in (key for key in typed if key.startswith(f"{VLLM}.")):
        yield from _argument(scene, key, key.removeprefix(f"{VLLM}.").split(".")[0])


def _argument(scene: Scene, key: str, name: str) -> Iterator[Finding]:
    own, rollout = RENAMED.get(name, name), get(scene.config.verl, ROLLOUT)
    value = yaml_word(get(scene.config.verl, key))
    if name == NEEDED or (name == EXECUTOR and scene.config.hardware == "cpu"):
        yield Finding(f"{key}={value}: verlaunch sets it, and the run needs it. Leave it out.")
    elif own in rollout:
        yield Finding(
            f"{key}={value} goes past the plan, which reads the rollout's own key. "
            f"Use {ROLLOUT}.{own}={value}."
        )
    elif _arguments() and name not in _arguments():
        yield Finding(
            f"{key}={value}: this vLLM has no argument {name}.{closest(name, _arguments())}"
        )


@functools.cache
def _arguments() -> frozenset[str]:
    """What `vllm serve` takes, whose arguments verl makes of the key (vllm_async_server.py:462);
    read from vLLM's source, for importing it takes seconds. Empty where that cannot be found."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    root = Path(spec.submodule_search_locations[0])
    if not all((root / file).is_file() for file in SOURCES):
        return frozenset()
    return frozenset(
        name for file, classes in SOURCES.items() for name in _fields(root / file, classes)
    )


def _fields(file: Path, classes: tuple[str, ...]) -> Iterator[str]:
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name in classes:
            found = [item for item in node.body if isinstance(item, ast.AnnAssign)]
            yield from (f.target.id for f in found if isinstance(f.target, ast.Name))


def _prompts_at_once(scene: Scene) -> Iterator[Finding]:
    """A step asks for its prompts in portions of one size."""
    verl = scene.config.verl
    wanted = get(verl, "data.gen_batch_size")
    if wanted and get(verl, "data.train_batch_size") % wanted:
        yield Finding(
            f"data.gen_batch_size={wanted} must divide --batch_size "
            f"{get(verl, 'data.train_batch_size')}. Leave it out."
        )
