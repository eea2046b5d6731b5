"""The model card: README.md of an exported folder, in the hub's format.

    text = card(facts, checks=["largest difference of logits ... 0.0e+00 ..."], adapter=False)

The licence is left to the user, because the base model's terms hold for what is trained from it.
Paths of the machine appear only in the command, which is the user's own; what it says of keys and
passwords is hidden, for a card is published.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from verlaunch.machine.scrub import hide
from verlaunch.tools.export.facts import Facts

CURVES = "training_curves.png"
LICENCE = "# license: yours to choose, within the base model's terms\n"


def _front(facts: Facts, adapter: bool) -> str:
    tags = ["reinforcement-learning", "ppo", "verl", "verlaunch"]
    matter: dict[str, Any] = {
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": [*tags, "lora"] if adapter else tags,
    }
    if facts.base_id:
        matter["base_model"] = facts.base_id
        matter["base_model_relation"] = "adapter" if adapter else "finetune"
    return f"---\n{yaml.safe_dump(matter, sort_keys=False)}{LICENCE}---\n"


def _table(rows: Mapping[str, Any]) -> Iterator[str]:
    yield "| | |"
    yield "|---|---|"
    for name, value in rows.items():
        cell = hide(str(value)).replace("|", "\\|").replace("\n", " ")
        yield f"| {name} | {cell} |"


def _base(facts: Facts) -> str:
    return facts.base_id or (Path(facts.base).name if facts.base else "")


def _results(facts: Facts) -> Iterator[str]:
    pairs = {
        "validation score": facts.validation,
        "mean reward (first and last steps)": facts.mean_reward,
    }
    if not any(pairs.values()):
        return
    yield from ("## Results", "", "| | before | after |", "|---|---|---|")
    for name, pair in pairs.items():
        if pair:
            yield f"| {name} | {pair[0]:.3f} | {pair[1]:.3f} |"
    yield ""


def _use(facts: Facts, adapter: bool, critic: bool) -> Iterator[str]:
    yield from ("## Use", "", "```python")
    if adapter:
        yield "from peft import AutoPeftModelForCausalLM"
        yield ""
        yield 'model = AutoPeftModelForCausalLM.from_pretrained("THIS_FOLDER")'
    else:
        yield "from transformers import AutoModelForCausalLM, AutoTokenizer"
        yield ""
        yield 'model = AutoModelForCausalLM.from_pretrained("THIS_FOLDER")'
        yield 'tokenizer = AutoTokenizer.from_pretrained("THIS_FOLDER")'
    yield from ("```", "")
    if critic:
        yield (
            "The critic is the folder beside this one; `AutoModelForTokenClassification` loads it "
            "(one label: the value at each token)."
        )
        yield ""


def _how(facts: Facts) -> Iterator[str]:
    if facts.settings:
        yield from ("## Settings", "", *_table(facts.settings), "")
    if facts.versions:
        versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
        yield from (f"Versions: {versions}.", "")
    if facts.command:
        yield from ("Command:", "", "```sh", hide(facts.command), "```", "")


def card(facts: Facts, checks: Sequence[str], adapter: bool = False, critic: bool = False) -> str:
    """checks: sentences of what was proven. Front matter first, as the hub wants it."""
    base = _base(facts)
    start = f", from {base}" if base else ""
    kind = "A LoRA adapter" if adapter else "A language model"
    lines = [f"# {facts.name}", "", f"{kind} trained with PPO (verl){start}.", ""]
    base_row = {"base model": base} if base else {}
    lines += [*_table({**base_row, "steps": facts.step, **facts.about}), "", *_results(facts)]
    if facts.curves:
        lines += [f"![Training curves]({CURVES})", ""]
    lines += [*_use(facts, adapter, critic), *_how(facts)]
    if checks:
        lines += ["## Checked", "", *(f"- {check}" for check in checks), ""]
    return _front(facts, adapter) + "\n" + "\n".join(lines).rstrip() + "\n"
