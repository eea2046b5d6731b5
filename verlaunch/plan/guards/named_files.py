"""Files, folders and modules that a key names: are they there?

    [finding.text for finding in check(scene)]
    ->  ["data.custom_cls.path=my.py: no such file."]

Left out on purpose: whether a module imports without an error; only the run tells, in its log.
"""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verlaunch.config.tree import ROLLOUT, get
from verlaunch.config.values import closest
from verlaunch.errors import Finding, UserError
from verlaunch.inputs import models
from verlaunch.machine.disk import check_writable
from verlaunch.plan.guards.scene import Scene

MODEL = "actor_rollout_ref.model"
FILES = (
    f"{ROLLOUT}.multi_turn.tool_config_path",
    f"{ROLLOUT}.multi_turn.function_tool_path",
    f"{ROLLOUT}.agent.agent_loop_config_path",
    f"{ROLLOUT}.quantization_config_file",
    "data.tool_config_path",
)
FOLDERS = (f"{MODEL}.tokenizer_path", f"{MODEL}.hf_config_path", "critic.model.tokenizer_path")
WRITTEN = ("trainer.rollout_data_dir", "trainer.validation_data_dir")
# A file (or pkg://module) and the name in it (utils/import_utils.py:300).
PIECES = ("data.custom_cls", "trainer.v1.sampler.custom_sampler")
MODULES = (f"{MODEL}.external_lib", "critic.model.external_lib")
CLASSES = ("trainer.checkpoint_callback_class",)


def check(scene: Scene) -> Iterator[Finding]:
    return map(Finding, _lacking(scene.config.verl))


def _lacking(verl: dict[str, Any]) -> Iterator[str]:
    named = [(key, get(verl, key)) for key in FILES]
    yield from (f"{key}={path}: no such file." for key, path in named if _lacks(path))
    folders = [(key, get(verl, key)) for key in FOLDERS]
    yield from (
        f"{key}={name}: no such folder. Leave it out: the model's own is taken."
        for key, name in folders
        if name and models.is_local(name) and not Path(name).expanduser().is_dir()
    )
    for key in WRITTEN:
        yield from _unwritable(key, get(verl, key))
    for key in PIECES:
        yield from _piece(key, get(verl, key) or {})
    for key in MODULES:
        named = get(verl, key)
        for module in named if isinstance(named, list) else [named]:
            yield from _module(key, module)
    for key in CLASSES:
        yield from _class(key, get(verl, key))


def _lacks(path: Any) -> bool:
    return bool(path) and not Path(str(path)).expanduser().is_file()


def _unwritable(key: str, folder: Any) -> Iterator[str]:
    """verl makes it after the first step (trainer_base.py:1339)."""
    if not folder:
        return
    try:
        check_writable(Path(str(folder)).expanduser().resolve())
    except UserError:
        yield f"{key}={folder} cannot be written. Name a folder that can, or leave it out."


def _piece(key: str, piece: dict[str, Any]) -> Iterator[str]:
    path, name = piece.get("path"), piece.get("name")
    if not path and not name:
        return
    if not path or not name:
        lacking = "path" if name else "name"
        yield f"{key} needs a path and a name; {key}.{lacking} is not set. Set it too."
    elif str(path).startswith("pkg://"):
        yield from _module(f"{key}.path", str(path).removeprefix("pkg://"))
    elif _lacks(path):
        yield f"{key}.path={path}: no such file. Give a Python file, or pkg://package.module."
    else:
        yield from _name_in(key, Path(str(path)).expanduser(), str(name))


def _name_in(key: str, file: Path, name: str) -> Iterator[str]:
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except (SyntaxError, ValueError, OSError) as error:
        yield f"{key}.path={file} is not Python that can be read: {error}."
        return
    if any(isinstance(node, ast.ImportFrom) for node in body):
        return  # the name may come from elsewhere
    classes = [node.name for node in body if isinstance(node, ast.ClassDef)]
    if name not in classes:
        there = ", ".join(classes) or "no class"
        yield f"{key}.name={name}: {file} has {there}.{closest(name, classes)}"


def _module(key: str, module: Any) -> Iterator[str]:
    """Only the package is looked for: what lies inside it is found by importing it."""
    if module and not _importable(str(module)):
        yield (
            f"{key}={module}: there is no such module in this environment. Install its package, "
            "or set PYTHONPATH to the folder it lies in."
        )


def _class(key: str, name: Any) -> Iterator[str]:
    if not name:
        return
    module, _, last = str(name).rpartition(".")
    if not module or not last:
        yield f"{key}={name}: takes a class with its module, as in package.module.Class."
    else:
        yield from _module(key, module)


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module.split(".")[0]) is not None
    except (ValueError, ImportError):
        return False
