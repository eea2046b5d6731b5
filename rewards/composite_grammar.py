"""What a composite's YAML may say: its keys, their kinds of values, and what is wrong with a tree.

    check_tree({"weights": {"rm_score": "high"}})
    # ["composite_reward.weights.rm_score is 'high': takes a number."]

Left out on purpose: whether the parts that weights and gates name exist (rewards/composite.py).
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

ROOT = "composite_reward"
STANDARD = {  # the parts that flags ask for
    "rule_score": "--reward_fn or --reward_rules",
    "rm_score": "--reward_model or --rm_url",
    "judge_score": "--use_api_reward",
}
SCALES = ("none", "affine", "running", "sigmoid")
FAILURE_WORDS = ("neutral", "min", "raise")
_NAME = re.compile(r"[a-z]\w*_score")

Check = tuple[Callable[[Any], bool], str]  # is a value of this kind?; the kind in words


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _one_of(*words: str) -> Check:
    return (lambda value: value in words), f"one of {', '.join(words)}"


TEXT: Check = (lambda value: isinstance(value, str) and bool(value.strip())), "some text"
NUMBER: Check = is_number, "a number"
POSITIVE: Check = (lambda value: is_number(value) and value > 0), "a number above 0"
COUNT: Check = (lambda value: type(value) is int and value >= 1), "a whole number of at least 1"
SWITCH: Check = (lambda value: isinstance(value, bool)), "true or false"
SECTION: Check = (lambda value: isinstance(value, dict)), "a section of key: value lines"
FAILURE: Check = (
    (lambda value: value in FAILURE_WORDS or is_number(value)),
    f"{', '.join(FAILURE_WORDS)} or a number",
)

SECTIONS = dict.fromkeys(("weights", "by_data_source", "parts", "gates"), SECTION)
TOP: dict[str, Check] = {"enable": SWITCH, **SECTIONS}
TUNING: dict[str, Check] = {"scale": _one_of(*SCALES), "clip": POSITIVE, "on_failure": FAILURE}
GATE: dict[str, Check] = {"needs": TEXT, "at_least": NUMBER}
_MODEL: dict[str, Check] = {
    "model": TEXT,
    "url": TEXT,
    "tokenizer": TEXT,
    "max_length": COUNT,
    "backend": _one_of("auto", "vllm", "transformers"),
    "trust_remote_code": SWITCH,
}
KINDS: dict[str, dict[str, Check]] = {  # what makes a part, with the keys that may stand beside it
    "model": _MODEL,
    "url": _MODEL,
    "judge": {"judge": SECTION},
    "function": {"function": TEXT, "timeout": POSITIVE, "workers": COUNT},
    "rules": {"rules": TEXT},
    "rule": {"rule": TEXT, "options": SECTION},
}


def closest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), 1)
    return f" Did you mean {near[0]}?" if near else ""


def check_keys(where: str, given: Mapping[Any, Any], known: Mapping[str, Check]) -> list[str]:
    """A sentence for each key that does not exist, and for each value of a wrong kind."""
    found = []
    for key, value in given.items():
        if key not in known:
            hint = closest(str(key), known) or f" It takes {', '.join(known)}."
            found.append(f"{where}: there is no key {key!r}.{hint}")
        elif not known[key][0](value):
            found.append(f"{where}.{key} is {value!r}: takes {known[key][1]}.")
    return found


def check_weights(where: str, name: Any, weights: Any) -> list[str]:
    if not isinstance(weights, dict) or not weights:
        return [f"{where} is {weights!r}: takes weights of parts, such as {{rm_score: 0.7}}."]
    return [
        f"{where}.{part} is {weight!r}: takes a number."
        for part, weight in weights.items()
        if not is_number(weight)
    ]


def check_part(where: str, name: Any, part: Any) -> list[str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return [f"{where}: a part's name is small letters and ends with _score, as in safe_score."]
    if not isinstance(part, dict):
        return [f"{where} is {part!r}: takes {SECTION[1]}."]
    kinds = [kind for kind in KINDS if kind in part]
    if len(kinds) > 1 and kinds != ["model", "url"]:
        return [f"{where} is of {' and '.join(kinds)} at once; keep one of them."]
    known = {**(KINDS[kinds[0]] if kinds else {}), **TUNING}
    if not kinds and name not in STANDARD:
        unknown = check_keys(where, part, {**dict.fromkeys(KINDS, TEXT), **known})
        return unknown or [f"{where} does not say what scores; give one of {', '.join(KINDS)}."]
    return check_keys(where, part, known)


def check_gate(where: str, name: Any, gate: Any) -> list[str]:
    if not isinstance(gate, dict) or not GATE.keys() <= gate.keys():
        return [f"{where} is {gate!r}: takes {{needs: PART, at_least: NUMBER}}."]
    return check_keys(where, gate, GATE)


def check_tree(tree: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with what stands below composite_reward."""
    found = check_keys(ROOT, tree, TOP)
    sound = {key: tree[key] for key in SECTIONS if isinstance(tree.get(key), dict)}
    if sound.get("weights"):
        found += check_weights(f"{ROOT}.weights", None, sound.pop("weights"))
    checks = {"by_data_source": check_weights, "parts": check_part, "gates": check_gate}
    for key, check in checks.items():
        for name, value in sound.get(key, {}).items():
            found += check(f"{ROOT}.{key}.{name}", name, value)
    return found
