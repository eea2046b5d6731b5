"""A composite reward as YAML: several parts, their weights, and what depends on what.

    mix = read(Path("rewards/reward_model_config.yaml"))
    mix.weights                       # {"rm_score": 0.7, "judge_score": 0.7, "rule_score": 0.3}
    check_mix(mix, ["rm_score"])   # ["judge_score is no part of this run. Add ...", ...]

The grammar is told in the shipped file. Left out on purpose: what the flags say, and whether models
and prompts exist (verlaunch/plan/reward/).
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rewards import composite_grammar as grammar
from rewards import yaml_file
from rewards.composite_grammar import KINDS, STANDARD, TUNING, closest
from rewards.part import Mistakes
from rewards.spec import Gate

SHIPPED = Path(__file__).with_name("reward_model_config.yaml")


@dataclass(frozen=True)
class Entry:
    """One part as the file has it. kind: of KINDS; None: it tunes a part that flags ask for."""

    kind: str | None
    source: dict[str, Any]
    tuning: dict[str, Any]


@dataclass(frozen=True)
class Composite:
    path: Path
    enable: bool = True
    weights: dict[str, float] = field(default_factory=dict)
    by_source: dict[str, dict[str, float]] = field(default_factory=dict)
    parts: dict[str, Entry] = field(default_factory=dict)
    gates: dict[str, Gate] = field(default_factory=dict)

    @property
    def weighed(self) -> set[str]:
        """The parts with a weight, for all of the data or for some."""
        return {name for weights in (self.weights, *self.by_source.values()) for name in weights}

    @property
    def needed(self) -> set[str]:
        return {gate.needs for gate in self.gates.values()}

    @property
    def named(self) -> set[str]:
        """Every part that a weight, a gate or a section speaks of."""
        return self.weighed | self.needed | {*self.gates, *self.parts}

    def without(self, absent: Collection[str]) -> "Composite":
        """The same with no word of these parts."""

        def kept(table: dict[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in table.items() if name not in absent}

        return replace(
            self,
            weights=kept(self.weights),
            by_source={pattern: kept(weights) for pattern, weights in self.by_source.items()},
            parts=kept(self.parts),
            gates={n: gate for n, gate in kept(self.gates).items() if gate.needs not in absent},
        )


def _tree(path: Path) -> dict[str, Any]:
    try:
        found = yaml_file.read(path)
    except yaml_file.BadYaml as error:
        raise Mistakes([f"{error}."]) from None
    tree = found.get(grammar.ROOT) if isinstance(found, dict) else None
    if not isinstance(tree, dict) or len(found) > 1:
        raise Mistakes([f"{path} needs one section {grammar.ROOT}: and nothing beside it."])
    return {key: value for key, value in tree.items() if value is not None}  # an empty section


def _entry(part: dict[str, Any]) -> Entry:
    kind = next((kind for kind in KINDS if kind in part), None)
    source = {key: value for key, value in part.items() if key not in TUNING}
    return Entry(kind, source, {key: part[key] for key in TUNING if key in part})


def read(path: Path) -> Composite:
    """Raises Mistakes."""
    tree = _tree(path)
    if problems := grammar.check_tree(tree):
        raise Mistakes(f"{path}: {problem}" for problem in problems)
    return Composite(
        path,
        tree.get("enable", True),
        tree.get("weights", {}),
        tree.get("by_data_source", {}),
        {name: _entry(part) for name, part in tree.get("parts", {}).items()},
        {name: Gate(**gate) for name, gate in tree.get("gates", {}).items()},
    )


def _meant(name: str, names: Collection[str]) -> str:
    whole = f"{name}_score"
    return f" Did you mean {whole}?" if whole in STANDARD else closest(name, {*names, *STANDARD})


def _missing(name: str, names: Collection[str]) -> str:
    if name in STANDARD:
        return f"{name} is no part of this run. Add {STANDARD[name]}, or take it out."
    hint = _meant(name, names)
    there = ", ".join(names) or "none yet"
    return f"{name} is no part of this run. Its parts: {there}.{hint}"


def check_mix(mix: Composite, names: Collection[str]) -> list[str]:
    """What does not fit together. names: the parts that the run has."""
    unknown = sorted(mix.named - {*names})
    found = [_missing(name, names) for name in unknown]
    meant = " ".join(_meant(name, names) for name in unknown)  # one mistake, told once
    found += [
        f"{name} has no weight, so it would be asked and count nothing. Give it one, or leave out "
        f"{STANDARD.get(name, 'the part')}."
        for name in names
        if name not in mix.weighed | mix.needed and name not in meant
    ]
    found += [
        f"the gate of {name} needs {gate.needs}, "
        f"{'the part itself' if gate.needs == name else 'which has a gate too'}; "
        "it takes a part without a gate."
        for name, gate in mix.gates.items()
        if gate.needs in mix.gates
    ]
    weights = [
        weight for table in (mix.weights, *mix.by_source.values()) for weight in table.values()
    ]
    if weights and not any(weights):
        found.append("every weight is 0, so nothing would be rewarded.")
    return found
