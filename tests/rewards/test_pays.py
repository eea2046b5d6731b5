"""What each rule pays and does not pay, as docs/rules.md shows it: every line of pays.yaml."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from rewards.build import build
from rewards.part import Row
from rewards.reward import Result
from rewards.spec import RULES

LISTED = yaml.safe_load(Path(__file__).with_name("pays.yaml").read_text(encoding="utf-8"))
GROUPS = [(source, group) for source, groups in LISTED.items() for group in groups]


async def _scored(source: str, group: dict[str, Any], responses: list[str]) -> list[Result]:
    reward = build(RULES)
    await reward.start([])
    try:
        rows = [Row(source, text, group["truth"], group.get("extra")) for text in responses]
        return [await reward.score(row) for row in rows]
    finally:
        await reward.close()


@pytest.mark.parametrize(("source", "group"), GROUPS, ids=[g["about"] for _, g in GROUPS])
def test_what_is_said_to_be_paid_is_paid_and_nothing_else(source: str, group: dict) -> None:
    assert group.keys() <= {"about", "truth", "extra", "pays", "pays_not", "fails"}
    for kind, wanted in (("pays", 1.0), ("pays_not", 0.0), ("fails", None)):
        found = asyncio.run(_scored(source, group, group.get(kind, [])))
        told = [None if one.failed else one.score for one in found]
        assert told == [wanted] * len(told), (kind, group.get(kind))
