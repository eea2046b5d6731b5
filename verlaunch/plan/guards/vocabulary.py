"""Policy and critic read the same ids: do these mean the same words to both?

    [finding.text for finding in check(scene)]
    ->  ["--critic_model ./c has another tokenizer than --model ./m: 31,744 of 32,000 ids are other
          words to it ..."]

Sizes may differ where words do not: models of one family pad their embeddings to other lengths
(Qwen2.5: 151,936 and 152,064). Left out on purpose: reward models, which get text.
"""

import ast
import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from verlaunch.config.tree import get, sequence_length, uses_critic
from verlaunch.errors import Finding
from verlaunch.inputs.models import Model
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.tokenizer_files import Vocabulary, vocabulary

FEW = 0.01  # of the ids: special tokens of a later model of the same family
HEADS = "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES"
OTHERWISE = "Leave --critic_model out: the critic then starts from the policy."


def check(scene: Scene) -> Iterator[Finding]:
    for flag, critic in scene.models[1:]:
        yield from _words(scene, f"{flag} {critic.name}", critic)
        yield from _positions(scene, f"{flag} {critic.name}", critic)
    yield from _head(scene, *scene.models[-1])


def _words(scene: Scene, who: str, critic: Model) -> Iterator[Finding]:
    policy = scene.model
    try:
        ours, theirs = vocabulary(policy), vocabulary(critic)
    except (ValueError, OSError, KeyError, TypeError):
        return  # the policy's is told by the tokenizer's guard; the critic's is not used
    if ours is None or theirs is None:
        if policy.vocab_size != critic.vocab_size:
            yield Finding(
                f"{who} has a vocabulary of {critic.vocab_size}, and --model {policy.name} one of "
                f"{policy.vocab_size}: the same ids may be other words. {OTHERWISE}",
                stops=False,
            )
        return
    last = max((index for index in _by_id(ours) if index < policy.vocab_size), default=-1)
    if last >= critic.vocab_size:
        yield Finding(
            f"{who} has a vocabulary of {critic.vocab_size}, and the tokenizer of --model "
            f"{policy.name} has ids up to {last}: an index error at step 1. {OTHERWISE}"
        )
        return
    yield from _meanings(f"{who} has another tokenizer than --model {policy.name}", ours, theirs)


def _by_id(known: Vocabulary) -> dict[int, str]:
    return {index: text for text, index in {**known.tokens, **known.special}.items()}


def _meanings(who: str, ours: Vocabulary, theirs: Vocabulary) -> Iterator[Finding]:
    mine, other = _by_id(ours), _by_id(theirs)
    differing = sorted(index for index, text in mine.items() if other.get(index) != text)
    if not differing:
        return
    first = differing[0]
    example = f"id {first} is {mine[first]!r} and {other.get(first)!r}"
    stops = len(differing) > FEW * len(mine)
    yield Finding(
        f"{who}: {len(differing):,} of {len(mine):,} ids are other words to it ({example}). "
        f"{OTHERWISE}",
        stops,
    )


def _positions(scene: Scene, who: str, critic: Model) -> Iterator[Finding]:
    length = sequence_length(scene.config.verl)
    if critic.max_positions and length > critic.max_positions:
        yield Finding(
            f"--max_prompt_length + --max_response_length = {length}, but {who} has "
            f"{critic.max_positions} positions. Shorten one of them, or take another critic."
        )


def _head(scene: Scene, flag: str, critic: Model) -> Iterator[Finding]:
    """The critic is the family's ...ForTokenClassification (engine/engines.py)."""
    kind = critic.config.get("model_type")
    own_code = critic.config.get("auto_map") and get(
        scene.config.verl, "critic.model.trust_remote_code"
    )
    nested = critic.config.get("text_config")  # loaded by verl's own way
    if not uses_critic(scene.config.verl) or not kind or own_code or nested:
        return
    if _families() and kind not in _families():
        yield Finding(
            f"{flag} {critic.name}: transformers has no value head (...ForTokenClassification) "
            f"for {kind}, so it cannot be the critic. Use --critic_model with a model that has "
            "the same tokenizer, or --adv_estimator reinforce_plus_plus."
        )


@functools.cache
def _families() -> frozenset[str]:
    """Model types with such a head, read from transformers' source: its import takes seconds."""
    spec = importlib.util.find_spec("transformers")
    where = spec.submodule_search_locations if spec else None
    file = Path(where[0], "models", "auto", "modeling_auto.py") if where else Path()
    if not file.is_file():
        return frozenset()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == HEADS:
            pairs = [item for item in ast.walk(node.value) if isinstance(item, ast.Tuple)]
            return frozenset(str(ast.literal_eval(pair.elts[0])) for pair in pairs)
    return frozenset()
