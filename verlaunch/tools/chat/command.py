"""./train.sh chat: from the words typed to a conversation with a run's policy, before and after.

    main(["outputs", "--prompt", "3+4="])

Quiet: vLLM's own lines go to logs/chat-before.log and logs/chat-after.log of the run.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from verlaunch.config.tree import ROLLOUT, STOP_IDS, get
from verlaunch.errors import UserError
from verlaunch.inputs import models
from verlaunch.inputs.choice import VIEWS
from verlaunch.inputs.tokenizer import as_written
from verlaunch.machine import hardware
from verlaunch.paths import cache_dir
from verlaunch.record.report.history import History, read
from verlaunch.record.tried_prompts import Messages
from verlaunch.tools.chat import voices
from verlaunch.tools.chat.columns import harmless, shown
from verlaunch.tools.chat.flags import parse, prompts
from verlaunch.tools.chat.speaker import Model, Sampling, Speaker
from verlaunch.tools.chat.talk import Quit, Talk, ask_all, told
from verlaunch.tools.chat.voices import Voice
from verlaunch.tools.export.pick import check_run

WINDOW = 4096  # tokens; a longer conversation than in training is fine where the model takes it
SHARE = {"cpu": 0.1, "gpu": 0.4}  # of the memory, for each of the two; on the CPU hardly used
SEQUENCES, SEQUENCES_HELD = 16, 4  # answered at a time; of their keys and values
LEAST_CACHE = 64 << 20  # bytes
USUAL_TOKENS = 512


def _model(voice: Voice, config: dict[str, Any], hardware: str, seed: int, gpus: int) -> Model:
    looked = models.look(str(voice.folder))
    trained = sum(get(config, f"data.max_{part}_length") or 0 for part in ("prompt", "response"))
    window = max(trained, min(WINDOW, looked.max_positions or WINDOW))
    held = SEQUENCES_HELD * window * looked.cached_values * 4
    wanted = get(config, f"{ROLLOUT}.tensor_model_parallel_size") or 1
    engine = {
        "model": str(as_written(voice.folder, cache_dir() / VIEWS)),
        "max_model_len": window,
        "max_num_seqs": SEQUENCES,
        "dtype": "float32" if hardware == "cpu" else "auto",
        "gpu_memory_utilization": SHARE[hardware],
        "kv_cache_memory_bytes": max(LEAST_CACHE, held) if hardware == "cpu" else None,
        "tensor_parallel_size": 1 if hardware == "cpu" else min(wanted, gpus),
        "enforce_eager": True,  # a chat starts sooner; graphs pay over thousands of answers
        "seed": seed,
    }
    template = get(config, "actor_rollout_ref.model.custom_chat_template")
    options = get(config, "data.apply_chat_template_kwargs") or {}
    return Model(engine, template, options, get(config, STOP_IDS) or [])


def _voices(history: History, step: str | None) -> list[Voice]:
    trained = voices.after(history, step)
    try:
        return [voices.before(history), trained]
    except UserError as gone:
        print(f"note: {gone} Only the trained one answers.")
        return [trained]


@contextmanager
def _speakers(chosen: Sequence[Voice], history: History, seed: int) -> Iterator[list[Speaker]]:
    """Loaded at once on the CPU; in turn on GPUs, where vLLM measures the memory that is free."""
    gpus = len(hardware.look().gpus)
    profile = "gpu" if gpus else "cpu"
    logs = history.folder / "logs"
    logs.mkdir(exist_ok=True)
    speakers: list[Speaker] = []
    try:
        for voice in chosen:
            model = _model(voice, history.config, profile, seed, gpus)
            log = logs / f"chat-{voice.title.split()[0]}.log"
            speakers.append(Speaker(voice.title, model, profile, log))
            if gpus:
                speakers[-1].wait_ready()
        if not gpus:
            for speaker in speakers:
                speaker.wait_ready()
        yield speakers
    finally:
        for speaker in speakers:
            speaker.close()


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _show(titles: Sequence[str], texts: Sequence[str]) -> None:
    print("\n".join(shown(titles, texts, _width())), flush=True)


def _ask_and_end(speakers: list[Speaker], asked: list[Messages], sampling: Sampling) -> None:
    titles = [speaker.title for speaker in speakers]
    answers = ask_all(speakers, [asked for _ in speakers], sampling)
    for number, messages in enumerate(asked):
        print(f"you: {harmless(messages[-1]['content'])}")
        _show(titles, [told(own[number]) for own in answers])
        print()


def _converse(speakers: list[Speaker], sampling: Sampling) -> None:
    import readline  # noqa: F401  (input() then edits lines and remembers them)

    by_hand = sys.stdin.isatty()
    talk = Talk(speakers, sampling)
    if by_hand:
        print("Type, and both answer. /help for more.", flush=True)
    while True:
        try:
            line = input("you: " if by_hand else "").strip()
        except EOFError:
            print()
            return
        try:
            if line.startswith("/"):
                print(talk.command(line))
            elif line:
                if not by_hand:
                    print(f"you: {harmless(line)}")
                _show([speaker.title for speaker in speakers], talk.say(line))
                print(flush=True)
        except Quit:
            return


def main(words: Sequence[str]) -> int:
    args = parse(words)
    check_run(args.run.expanduser())
    asked = prompts(args)
    history = read(args.run.expanduser().resolve())
    chosen = _voices(history, args.step)
    told_by_run = get(history.config, "data.max_response_length")
    sampling = Sampling(args.temperature, args.max_tokens or told_by_run or USUAL_TOKENS, args.seed)
    print("Loading " + " and ".join(f"{v.title}: {v.folder}" for v in chosen) + " ...", flush=True)
    with _speakers(chosen, history, args.seed) as speakers:
        if asked:
            _ask_and_end(speakers, asked, sampling)
        else:
            _converse(speakers, sampling)
    return 0
