"""The plan as every start shows it: a label and a sentence for each thing that a run will do.

    print(text(outlook))
    #   model        Qwen/Qwen2.5-0.5B (Qwen2ForCausalLM, vocabulary 151936)
    #   batch        128 prompts x 1 response; ...

Words for numbers that sizes.py and memory/expected.py have worked out. Left out on purpose: the
longer page of a dry run (page.py) and its JSON (document.py).
"""

from typing import Any

from verlaunch.config.tree import (
    ACTOR,
    ROLLOUT,
    Config,
    get,
    ranks,
    ranks_here,
    uses_critic,
    uses_reference,
)
from verlaunch.inputs.data.rows import told_unseen
from verlaunch.inputs.models import Model, noise
from verlaunch.plan import sentences
from verlaunch.plan.memory.fit import SPARE, Case, fewest_gpus
from verlaunch.plan.memory.rows import line
from verlaunch.plan.outlook import Outlook
from verlaunch.plan.reward.rows import Work, route
from verlaunch.plan.roles import in_one_line, roles
from verlaunch.plan.sizes import Steps
from verlaunch.plan.tokenizer_files import turn_of
from verlaunch.text import Rows, plural, row

# verl clamps this estimate at 10 nats (core_algos.py:kl_penalty_forward). With a "+" behind it the
# gradient is another estimate's.
CLAMPED = ("low_var_kl", "k3")


def text(outlook: Outlook) -> str:
    """The rows, then what deserves a look."""
    more = [("warning", warning) for warning in outlook.warnings]
    more += [("note", note) for note in outlook.config.notes]
    return "\n".join(row(*pair) for pair in (*rows(outlook), *more))


def rows(outlook: Outlook) -> Rows:
    """`outlook`: with a plan."""
    plan, model, config = outlook.plan, outlook.model, outlook.config
    assert plan is not None and model is not None and outlook.spec is not None
    return (
        ("model", f"{model.name} ({model.architecture}, vocabulary {model.vocab_size})"),
        ("hardware", _hardware(config, len(outlook.asked.machine.gpus))),
        *_assumed(outlook),
        ("data", _data(outlook)),
        *_unseen(outlook),
        *_folders(outlook),
        *route(outlook.spec, Work.of(config.verl, outlook.data_sources)),
        ("batch", str(plan.batch)),
        ("length", _length(plan.steps)),
        *_turn(config, model),
        *_noise(outlook),
        ("algorithm", _algorithm(config.verl, config.launch)),
        *((("nodes", str(outlook.place)),) if outlook.place else ()),
        ("roles", in_one_line(roles(config, outlook.spec))),
        *_memory(outlook),
        ("output", str(outlook.asked.folder)),
    )


def _assumed(outlook: Outlook) -> Rows:
    if (there := outlook.asked.assumed) is None:
        return ()
    left_out = "this computer's memory, disks, limits and drivers were not looked at"
    return (("assumed", f"{there.words}; {left_out}"), *_fewest(outlook))


def _fewest(outlook: Outlook) -> Rows:
    """GPUs like these, with whatever --fit auto may change; told where they are fewer."""
    memory, held = outlook.memory, outlook.config.given | outlook.config.recipe_keys
    if memory is None or memory.estimate is None or memory.use is None:
        return ()
    found, room = memory.estimate, memory.room
    if found.shape is None:
        return ()
    case = Case(found.shape, found.critic, memory.use, room.gpu, room.host, held, SPARE)
    count = fewest_gpus(case)
    if count is None or count >= memory.use.ranks:
        return ()
    return (("", f"{plural(count, 'GPU')} like these would do (--fit auto)"),)


def _data(outlook: Outlook) -> str:
    if outlook.prepared:
        return sentences.prepared_data(outlook.prepared)
    assert outlook.look is not None and outlook.facts is not None
    return sentences.looked_data(outlook.look, outlook.facts.train_rows)


def _unseen(outlook: Outlook) -> Rows:
    """Prepared data says it among its notes."""
    if outlook.prepared or outlook.look is None:
        return ()
    said = told_unseen(outlook.look.unseen)
    return (("", said),) if said else ()


def _folders(outlook: Outlook) -> Rows:
    """By their names some files of a folder are for validation, or for nothing."""
    return tuple(("", note) for note in (outlook.sources.notes if outlook.sources else ()))


def _memory(outlook: Outlook) -> Rows:
    """In one line, where it is known; then what --fit auto has done."""
    if (memory := outlook.memory) is None:
        return ()
    said = line(memory)
    return (*((("memory", said),) if said else ()), *(("fit", told) for told in memory.fit.said))


def _length(steps: Steps) -> str:
    least = "" if steps.exact else "at least "
    often = f"every {plural(steps.validate_every, 'step')}"
    validation = f"validation {often}" if steps.validate_every else "no validation"
    return (
        f"{plural(steps.total, 'step')}, {least}{steps.per_epoch} per epoch; {validation}, "
        f"checkpoint every {steps.save_every}"
    )


def _turn(config: Config, model: Model) -> Rows:
    """Where a response ends, if not where the model's own files say alone."""
    if (turn := turn_of(config, model)) is None:
        return ()
    ends = ", ".join(turn.ends) or "none"
    return (
        (
            "turn end",
            f"responses end at {turn.token} as well, which closes a turn in the chat template; the "
            f"model's own ends: {ends} (--stop_at_turn_end false leaves it out)",
        ),
    )


def _noise(outlook: Outlook) -> Rows:
    """Dropout that the models bring and training leaves out (engine/training/dropout.py)."""
    rates: dict[str, float] = {}
    for model in (outlook.model, outlook.critic):
        rates |= noise(model.config) if model else {}
    if not rates:
        return ()
    named = ", ".join(f"{name} {rate:g}" for name, rate in rates.items())
    return (("dropout", f"0 in training, else ratios are noise; the export keeps {named}"),)


def _hardware(config: Config, gpus: int) -> str:
    world = ranks(config.verl)
    tp = get(config.verl, f"{ROLLOUT}.tensor_model_parallel_size")
    nodes = get(config.verl, "trainer.nnodes")
    used = f"{ranks_here(config.verl)} of {plural(gpus, 'GPU')}"
    what = used if config.hardware == "gpu" else "CPU"
    what += f" {'on' if config.hardware == 'gpu' else 'of'} each of {nodes} nodes" * (nodes > 1)
    copies = plural(max(1, world // tp), "rollout replica")
    return f"{what}; {plural(world, 'FSDP rank')}, {copies}" + (f" of {tp} ranks" * (tp > 1))


def _algorithm(verl: dict[str, Any], launch: dict[str, Any]) -> str:
    parts = [f"{get(verl, 'algorithm.adv_estimator')}"]
    if uses_critic(verl):
        parts.append(f"gamma {get(verl, 'algorithm.gamma')}, lambda {get(verl, 'algorithm.lam')}")
        parts += [] if launch["whiten_advantages"] else ["advantages as they are"]
        parts.append(f"critic lr {get(verl, 'critic.optim.lr')}")
    parts.append(f"actor lr {get(verl, f'{ACTOR}.optim.lr')}{_warmup(verl)}")
    if get(verl, f"{ACTOR}.loss_agg_mode") == "seq-mean-token-sum-norm":
        parts.append(f"sums of tokens divided by {get(verl, f'{ACTOR}.loss_scale_factor')}")
    if uses_reference(verl):
        parts.append(_kl(verl))
    if launch["stop_kl"]:
        parts.append(f"updates stop above a KL of {launch['stop_kl']} per token")
    if get(verl, "actor_rollout_ref.model.lora_rank"):
        parts.append(f"LoRA rank {get(verl, 'actor_rollout_ref.model.lora_rank')}")
    return ", ".join(parts)


def _warmup(verl: dict[str, Any]) -> str:
    optim, total = get(verl, f"{ACTOR}.optim"), get(verl, "trainer.total_training_steps")
    steps = optim["lr_warmup_steps"] or 0
    steps = steps if steps > 0 else int((optim["lr_warmup_steps_ratio"] or 0) * total)
    return f" after {plural(steps, 'step')} of warm-up, of which the first is at 0" * (steps > 0)


def _kl(verl: dict[str, Any]) -> str:
    if not get(verl, "algorithm.use_kl_in_reward"):
        kind = get(verl, f"{ACTOR}.kl_loss_type")
        flat = " (k3, whose gradient ends where a token is 13.6 times rarer than in the reference)"
        return f"KL {get(verl, f'{ACTOR}.kl_loss_coef')} in the loss" + flat * (kind in CLAMPED)
    control = get(verl, "algorithm.kl_ctrl")
    target = f" at first, towards {control['target_kl']} nats per response"
    adaptive = control["type"] == "adaptive"
    return f"KL {control['kl_coef']} in the reward" + target * adaptive
