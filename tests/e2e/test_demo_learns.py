"""The main job: no GPU, no flags. PPO takes the demo's model from half of the sums to most."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import ADDITION, Ran, of_run

pytestmark = pytest.mark.e2e

GENERATE = """
import json, sys
from vllm import LLM, SamplingParams
folder, prompts = sys.argv[1], json.loads(sys.stdin.read())
llm = LLM(folder, dtype="float32", enforce_eager=True, max_model_len=64,
          gpu_memory_utilization=0.2)  # of main memory
chats = [[{"role": "user", "content": prompt}] for prompt in prompts]
outputs = llm.chat(chats, SamplingParams(temperature=0, max_tokens=8), use_tqdm=False)
print("ANSWERS" + json.dumps([output.outputs[0].text for output in outputs]))
"""


def answers_of_vllm(folder: Path, prompts: list[str]) -> list[str]:
    import os

    from verlaunch.engine.environment import for_run

    environment = {**os.environ, **for_run("cpu", dict(os.environ))}
    done = subprocess.run(
        [sys.executable, "-c", GENERATE, str(folder)],
        input=json.dumps(prompts),
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.rpartition("ANSWERS")[2])


def answers_of_transformers(folder: Path, prompts: list[str]) -> list[str]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    answers = []
    for prompt in prompts:
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        out = model.generate(**ids, max_new_tokens=8, do_sample=False)
        answers.append(
            tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        )
    return answers


def test_the_demo_learns_addition_and_exports_a_model_that_answers(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    demo = run(tmp_path / "outputs")
    assert demo.code == 0, demo.screen
    assert "this is the CPU demo" in demo.screen and "Next:" in demo.screen

    accuracy = demo.series("val-core/math_reasoning/reward/mean@1")
    assert accuracy[0] <= 0.6
    assert accuracy[-1] >= 0.95
    reward = demo.series("critic/score/mean")
    assert sum(reward[-5:]) / 5 > sum(reward[:5]) / 5 + 0.2
    kl = demo.series("actor/reward_kl_penalty")
    assert len(kl) == len(reward) and all(math.isfinite(value) for value in kl)
    assert of_run(tmp_path / "outputs") == []
    for name in ("run.json", "config.yaml", "command.sh", "environment.json", "metrics.jsonl"):
        assert (tmp_path / "outputs" / name).is_file()

    final = tmp_path / "outputs" / "checkpoints" / "final"
    some = ADDITION[::7]
    prompts = [row["prompt"] for row in some]
    by_vllm = answers_of_vllm(final, prompts)
    assert by_vllm == answers_of_transformers(final, prompts)
    right = [answer == row["ground_truth"] for answer, row in zip(by_vllm, some, strict=True)]
    assert sum(right) >= len(right) - 2
