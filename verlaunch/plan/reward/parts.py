"""One part of a reward, from flags or from a section of a composite's YAML, as plain data.

    standard_part("rm_score", settings, {"clip": 3})
    own_part("safe_score", mix.parts["safe_score"], settings, mix.path)

What the section says counts before the flags, but for the three parts that flags ask for: there it
fills what they leave open. Left out on purpose: weights, and which parts a run has (spec.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rewards.composite import Entry
from rewards.composite_grammar import FAILURE_WORDS, is_number
from rewards.functions.user import LoadError, resolve
from rewards.registry import rule_of
from rewards.spec import JudgeSpec, ModelSpec, PartSpec, RuleSpec
from rewards.table import BadTable
from verlaunch.errors import UserError
from verlaunch.inputs.models import is_local
from verlaunch.plan.reward.judge import flags_judge, own_judge


@dataclass(frozen=True)
class Settings:
    """launch: the `verlaunch:` node. folder: of the run. scale: of a model, when none is named."""

    launch: Mapping[str, Any]
    folder: Path
    scale: str = "affine"


def standard_part(name: str, settings: Settings, tuning: Mapping[str, Any]) -> PartSpec:
    """rule_score, rm_score or judge_score, as the flags describe it. Raises UserError."""
    launch = settings.launch
    if name == "rm_score":
        flags = {"scale": launch["rm_scale"], "clip": launch["rm_clip"]}
        given = {key: value for key, value in flags.items() if value is not None}
        return _part(name, _flags_model(launch), settings, {**tuning, **given})
    source = _flags_rule(launch) if name == "rule_score" else flags_judge(launch, settings.folder)
    return _part(name, source, settings, tuning)


def own_part(name: str, entry: Entry, settings: Settings, file: Path) -> PartSpec:
    """A part that the file describes; paths are seen from its folder. Raises UserError."""
    makers: dict[str, Callable[..., RuleSpec | ModelSpec | JudgeSpec]] = {
        "model": _own_model,
        "url": _own_model,
        "judge": partial(own_judge, settings.folder),
        "function": _own_function,
        "rules": _own_rules,
        "rule": _own_rule,
    }
    assert entry.kind is not None
    try:
        source = makers[entry.kind](entry.source, settings.launch, file.parent)
    except UserError as error:
        where = f"{file}: composite_reward.parts.{name}"
        raise UserError(*(f"{where}: {problem}" for problem in error.problems)) from None
    return _part(name, source, settings, entry.tuning)


def _part(name: str, source: Any, settings: Settings, tuning: Mapping[str, Any]) -> PartSpec:
    launch = settings.launch
    is_model = isinstance(source, ModelSpec)
    scale, clip = (
        (launch["rm_scale"] or settings.scale, launch["rm_clip"]) if is_model else ("none", None)
    )
    failure = tuning.get("on_failure", on_failure(launch["on_reward_failure"]))
    return PartSpec(name, source, tuning.get("scale", scale), tuning.get("clip", clip), failure)


def on_failure(given: Any) -> str | float:
    """Raises UserError."""
    if given in FAILURE_WORDS or is_number(given):
        return given
    try:
        number = float(given)
    except (TypeError, ValueError):
        number = float("nan")
    if not is_number(number):
        words = ", ".join(FAILURE_WORDS)
        raise UserError(f"--on_reward_failure {given}: takes {words} or a number.")
    return number


# ---- rules -------------------------------------------------------------------------------------


def _rule(launch: Mapping[str, Any], **own: Any) -> RuleSpec:
    return RuleSpec(
        **{"timeout_s": launch["reward_timeout"], "workers": launch["reward_workers"], **own},
        sandbox_url=launch["sandbox_url"],
        allow_unsafe_code=launch["allow_unsafe_code"],
    )


def _flags_rule(launch: Mapping[str, Any]) -> RuleSpec:
    function, table = launch["reward_fn"], launch["reward_rules"]
    if function and table:
        raise UserError(
            "--reward_fn scores instead of the rules, so --reward_rules has no effect. Leave one "
            "of them out."
        )
    if function:
        return _rule(launch, function=_function(function, "--reward_fn "))
    return _rule(launch, table=_table(table, "--reward_rules ") if table else None)


def _function(spec: str, flag: str = "", base: Path | None = None) -> str:
    try:
        return resolve(str(base / spec) if base else spec)
    except LoadError as error:
        raise UserError(f"{flag}{spec}: {error}") from None


def _table(name: str, flag: str = "", base: Path = Path()) -> str:
    path = (base / Path(name).expanduser()).resolve()
    if not path.is_file():
        raise UserError(f"{flag}{name}: {path} not found; a table of rules is a YAML file.")
    return str(path)


def _own_function(own: Mapping[str, Any], launch: Mapping[str, Any], base: Path) -> RuleSpec:
    more = {"timeout_s": own.get("timeout"), "workers": own.get("workers")}
    more = {key: value for key, value in more.items() if value is not None}
    return _rule(launch, function=_function(own["function"], base=base), **more)


def _own_rules(own: Mapping[str, Any], launch: Mapping[str, Any], base: Path) -> RuleSpec:
    return _rule(launch, table=_table(own["rules"], base=base))


def _own_rule(own: Mapping[str, Any], launch: Mapping[str, Any], base: Path) -> RuleSpec:
    rules = _rule(launch, rule=own["rule"], options=own.get("options") or {})
    try:
        rule_of(rules, "")
    except BadTable as error:
        raise UserError(str(error)) from None
    return rules


# ---- models ------------------------------------------------------------------------------------


def _flags_model(launch: Mapping[str, Any]) -> ModelSpec:
    own = {"model": "reward_model", "url": "rm_url", "tokenizer": "rm_tokenizer",
           "max_length": "rm_max_length", "backend": "rm_backend",
           "trust_remote_code": "rm_trust_remote_code"}  # fmt: skip
    return _own_model({word: launch[flag] for word, flag in own.items()}, launch, Path())


def _own_model(own: Mapping[str, Any], launch: Mapping[str, Any], base: Path) -> ModelSpec:
    """Cards and device are those of the run's one reward actor."""
    return ModelSpec(
        path=_place(own.get("model"), base),
        url=_url(own.get("url")),
        tokenizer=_place(own.get("tokenizer"), base),
        device=launch["rm_device"],
        gpus=launch["rm_gpus"],
        max_length=own.get("max_length"),
        trust_remote_code=own.get("trust_remote_code", False),
        backend=own.get("backend", "auto"),
    )


def _place(name: str | None, base: Path) -> str | None:
    """A hub id as it is, a folder as an absolute path."""
    if name is None:
        return None
    path = (base / Path(name).expanduser()).resolve()
    return str(path) if is_local(name) or path.exists() else name


def _url(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        found = urlsplit(url)
        fine = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise UserError(
            f"--rm_url {url} is no address of a server; one looks like http://127.0.0.1:8000."
        )
    if "@" in found.netloc or found.query:  # it is written to the run's record
        raise UserError(
            f"the address of the reward model at {found.hostname} holds a name, password or query. "
            "Leave that out."
        )
    return url
