"""What a step was trained on: a few responses with their scores, and the rows of the data.

    {"step": 3, "data_source": "math_reasoning", "prompt": "2+2=", "response": "4",
     "ground_truth": "4", "score": 1.0, "answered": 1.0, ...}       # samples/train.jsonl
    {"step": 3, "rows": [0, 4, 17, ...]}                            # samples/rows.jsonl

A row is named by `extra_info.index`, its number in the prepared data or the user's own. From
rows.jsonl it can be told that no row was skipped or came twice, however often a run was killed.
./train.sh score reads train.jsonl as it is. Lines are only ever appended.
"""

from collections.abc import Sequence
from typing import Any

import transfer_queue as tq

from verlaunch.engine.reward.said import said
from verlaunch.record.channel import ROWS, SAMPLES, Channel

PER_STEP = 16
FIELDS = ["raw_prompt", "responses", "reward_model", "data_source", "extra_info", "extra_fields"]


def spread(keys: Sequence[str], count: int) -> list[str]:
    """`count` of the keys, evenly over all."""
    return [keys[i * len(keys) // count] for i in range(min(count, len(keys)))]


def real_keys(batch: Any) -> list[str]:
    """Without the rows that verl adds to fill a batch."""
    tagged = zip(batch.keys, batch.tags, strict=True)
    return [key for key, tag in tagged if not tag.get("is_padding", False)]


def _plain(value: Any) -> Any:
    return getattr(value, "data", value)  # tensordict wraps what is no tensor


def _prompt(messages: Sequence[dict[str, Any]]) -> str | list[dict[str, Any]]:
    plain = [dict(message) for message in messages]
    alone = len(plain) == 1 and plain[0].get("role") == "user"
    return plain[0]["content"] if alone else plain


def write(channel: Channel, step: int, batch: Any, tokenizer: Any) -> None:
    """batch: verl's KVBatchMeta of a step; its padding rows are left out."""
    real = real_keys(batch)
    keys = spread(real, min(PER_STEP, len(real)))
    if not keys:
        return
    rows = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=FIELDS)
    columns = [[_plain(value) for value in rows[field]] for field in FIELDS]
    lines = [
        {
            **extra.get("reward_texts", {}),  # a user's keys never hide ours
            **extra.get("reward_extra_info", {}),
            "step": step,
            "data_source": source,
            "prompt": _prompt(prompt),
            "response": said(tokenizer, response),
            "ground_truth": reward["ground_truth"],
            **({"extra_info": info} if info else {}),
        }
        for prompt, response, reward, source, info, extra in zip(*columns, strict=True)
    ]
    channel.append(channel.folder / SAMPLES, *lines)


def write_rows(channel: Channel, step: int, batch: Any) -> None:
    """One line, whatever the number of responses to a prompt."""
    first = {key.split("_")[0]: key for key in real_keys(batch)}  # UID_RESPONSE_TURN
    found = tq.kv_batch_get(
        keys=list(first.values()), partition_id=batch.partition_id, select_fields=["index"]
    )
    rows = sorted(int(_plain(index)) for index in found["index"])
    channel.append(channel.folder / ROWS, {"step": step, "rows": rows})
