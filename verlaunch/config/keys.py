"""Which keys exist, which do nothing, and what was probably meant.

    unknown("actor_rollout_ref.actor.optim.rl", tree)
    ->  "actor_rollout_ref.actor.optim.rl is not a key. Did you mean
         actor_rollout_ref.actor.optim.lr?"

A key exists when it stands in verl's YAML, or is a field of the dataclass that a node of that YAML
names with `_target_` (read from verl's source, never imported: that takes seconds), or lies below
a dict that verl hands on as it is. Left out on purpose: the names below such open dicts.
"""

import ast
import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from verlaunch.paths import CONFIGS, verl_configs

# Read by verl with config.get(), so that neither YAML nor dataclass tells of them.
UNDECLARED = (
    "data.cache_dir",
    "data.use_shm",
    "data.chat_template_func",
    "data.filter_prompts",
    "data.need_tools_kwargs",
)
# Handed on whole (ray.init, FSDP's wrap policy, a reward manager), although not empty in the YAML.
OPEN = (
    "ray_kwargs.ray_init",
    "fsdp_config.wrap_policy",
    "fsdp.wrap_policy",
    "reward.reward_kwargs",
)
CLOSED = ("trainer.v1.sync",)  # empty, yet read by name only
SOURCES = (
    "workers/config/*.py",
    "trainer/config/*.py",
    "utils/profiler/config.py",
    "utils/skip/config.py",
    "utils/qat/*.py",
)

Tree = Mapping[str, Any]


@dataclass(frozen=True)
class Class:
    bases: tuple[str, ...]
    fields: dict[str, str]  # name -> annotation


@dataclass(frozen=True)
class DeadKey:
    """One entry of configs/dead_keys.yaml; the words are explained at its top."""

    name: str
    why: str
    use: str | None = None
    instead: str | None = None
    fine: tuple[Any, ...] = ()
    refused: tuple[Any, ...] = ()


def flatten(tree: Tree, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> leaf; lists and empty dicts are leaves."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            leaves |= flatten(value, f"{prefix}{name}.")
        else:
            leaves[f"{prefix}{name}"] = value
    return leaves


@functools.cache
def _classes() -> dict[str, Class]:
    root = verl_configs().parents[1]
    files = [path for pattern in SOURCES for path in sorted(root.glob(pattern))]
    nodes = [node for path in files for node in ast.parse(path.read_text(encoding="utf-8")).body]
    return {node.name: _class(node) for node in nodes if isinstance(node, ast.ClassDef)}


def _class(node: ast.ClassDef) -> Class:
    fields = {
        item.target.id: ast.unparse(item.annotation)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    return Class(tuple(ast.unparse(base) for base in node.bases), fields)


def _fields(name: str) -> dict[str, str]:
    found = _classes().get(name)
    if found is None:
        return {}
    inherited = [_fields(base) for base in found.bases]
    return {key: kind for part in inherited for key, kind in part.items()} | found.fields


def _child_class(annotation: str, node: Any) -> str:
    if isinstance(node, Mapping) and "_target_" in node:
        return str(node["_target_"]).rpartition(".")[2]
    return next((word for word in re.findall(r"\w+", annotation) if word in _classes()), "")


def _is_open(path: str, annotation: str, node: Any) -> bool:
    if path in CLOSED:
        return False
    empty = node is None or node == {}
    return (
        node == {}
        or path.endswith(OPEN)
        or (empty and bool(re.search(r"\b(dict|Any)\b", annotation)))
    )


def is_known(key: str, tree: Tree) -> bool:
    """Whether verl, or we for `verlaunch.*`, read this dotted key. `tree`: verl's own and ours."""
    node: Any = tree
    kind, path = "", ""
    for name in key.split("."):
        path = f"{path}.{name}".lstrip(".")
        fields = _fields(kind)
        inside = isinstance(node, Mapping) and name in node
        if not inside and name not in fields:
            return key in UNDECLARED or path.endswith(OPEN)
        node = node[name] if inside else None
        annotation = fields.get(name, "")
        if _is_open(path, annotation, node):
            return True
        kind = _child_class(annotation, node)
    return True


def _all_keys(tree: Tree, prefix: str = "", kind: str = "") -> Iterator[str]:
    fields = _fields(kind)
    for name in {*tree, *fields}:
        node = tree.get(name)
        yield f"{prefix}{name}"
        if isinstance(node, Mapping):
            yield from _all_keys(node, f"{prefix}{name}.", _child_class(fields.get(name, ""), node))


def _likeness(key: str, known: str) -> float:
    """Out of 2: the whole path, and the last name for itself."""
    last, known_last = key.rpartition(".")[2], known.rpartition(".")[2]
    whole = difflib.SequenceMatcher(None, key, known).ratio()
    inside = known.endswith(f".{key}")  # actor.optim.lr for actor_rollout_ref.actor.optim.lr
    return whole + difflib.SequenceMatcher(None, last, known_last).ratio() + inside


def unknown(key: str, tree: Tree) -> str | None:
    """The sentence for a key that nobody reads, with the closest one that exists."""
    if is_known(key, tree):
        return None
    likeness, near = max((_likeness(key, known), known) for known in _all_keys(tree))
    hint = f" Did you mean {near}?" if likeness > 1.2 else " --print_config shows all keys."
    return f"{key} is not a key.{hint}"


@functools.cache
def dead_keys() -> tuple[DeadKey, ...]:
    """The entries of configs/dead_keys.yaml."""
    rows = yaml.safe_load((CONFIGS / "dead_keys.yaml").read_text(encoding="utf-8"))
    return tuple(_dead(name, row) for name, row in rows.items())


def _dead(name: str, row: dict[str, Any]) -> DeadKey:
    lists = {word: tuple(row.get(word, ())) for word in ("fine", "refused")}
    return DeadKey(name, **(row | lists))


def _covers(dead: DeadKey, key: str) -> bool:
    if not dead.name.endswith(".*"):
        return key == dead.name
    stem = dead.name[:-2]
    return key == stem or key.startswith(f"{stem}.")


def check_dead(key: str, value: Any, composed: Tree) -> tuple[str | None, str | None]:
    """(problem, note) for one setting: both None when the key works. `composed`: what verl gets."""
    dead = next((dead for dead in dead_keys() if _covers(dead, key)), None)
    if dead is None or (dead.refused and value not in dead.refused):
        return None, None
    typed = f"{key}={yaml_word(value)}"
    leaves = flatten(composed)
    if dead.use in leaves and leaves[dead.use] == value:
        return None, f"{typed} is ignored by verl; {dead.use} holds that value already."
    if value in dead.fine:
        return None, f"{typed} changes nothing: {dead.why}."
    way_out = f"Use {dead.use}={yaml_word(value)}" if dead.use else f"Instead: {dead.instead}"
    way_out = way_out if dead.use or dead.instead else "Leave it out"
    return f"{typed} would not do what it says: {dead.why}. {way_out}.", None


def yaml_word(value: Any) -> str:
    """A value as it is typed: true, null, 0.2, [a, b]."""
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
