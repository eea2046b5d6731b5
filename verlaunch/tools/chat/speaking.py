"""The process behind a chat's speaker: loads one model in vLLM and answers lines of JSON.

    python -m verlaunch.tools.chat.speaking '{"engine": {"model": ...}, "template": null, ...}'

See speaker.py, which starts it. Conversations are rendered as training renders prompts;
when one does not fit, its oldest turns are left out, the system message never.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


def _private_stdout() -> TextIO:
    """Our line to the parent. Everything that libraries print goes to stderr, the log."""
    ours = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return ours


class Prompts:
    """Conversations to token ids that leave room for an answer."""

    def __init__(self, tokenizer: Any, model: dict[str, Any]) -> None:
        self.tokenizer, self.model = tokenizer, model
        self.window = model["engine"]["max_model_len"]  # tokens, with the answer

    def _ids(self, messages: list[dict[str, str]]) -> list[int]:
        options = {**self.model["template_options"], "return_dict": True}
        if self.model["template"]:
            options["chat_template"] = self.model["template"]
        told = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, **options)
        return list(told["input_ids"])

    def fit(self, messages: list[dict[str, str]], answer: int) -> tuple[list[int], int]:
        """(ids, messages left out). The ids are still too long when the last message alone is."""
        first = [m for m in messages[:1] if m["role"] == "system"]
        rest = messages[len(first) :]
        for start in range(0, max(1, len(rest)), 2):
            ids = self._ids([*first, *rest[start:]])
            if len(ids) + answer <= self.window:
                break
        return ids, start


def _answers(llm: Any, prompts: Prompts, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    from vllm import SamplingParams

    window = prompts.window
    answer = min(request["max_tokens"], window // 2)
    asked = [prompts.fit(messages, answer) for messages in request["conversations"]]
    sampling = SamplingParams(
        temperature=request["temperature"], max_tokens=answer, seed=request["seed"],
        stop_token_ids=prompts.model["stop_token_ids"],
    )  # fmt: skip
    fitting = [{"prompt_token_ids": ids} for ids, _ in asked if len(ids) + answer <= window]
    outputs = iter(llm.generate(fitting, sampling, use_tqdm=False) if fitting else [])
    for ids, forgot in asked:
        if len(ids) + answer > window:
            why = f"{len(ids)} tokens do not fit in {window} with an answer of {answer}"
            yield {"text": "", "problem": why}
            continue
        told = next(outputs).outputs[0]
        yield {"text": told.text, "is_cut": told.finish_reason == "length", "forgot": forgot}


def main(model: dict[str, Any]) -> None:
    out = _private_stdout()
    from vllm import LLM

    llm = LLM(**model["engine"])
    prompts = Prompts(llm.get_tokenizer(), model)
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(list(_answers(llm, prompts, json.loads(line)))), file=out, flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
    sys.stderr.flush()
    os._exit(0)  # vLLM's own ending waits for threads that nobody needs
