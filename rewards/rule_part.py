"""Rewards that are functions: the built-in rule of a row's data_source, or one of the user's.

    part = RulePart(RuleSpec(function="my_reward.py:score"))
    await part.score(Row("math_reasoning", "so 42", "42"))  # {"score": 1.0}

The built-in rules are bounded and run in this process; a user's function runs in a child that can
be killed. Whatever a function does, an exception, None, NaN, a hang or a crash, is one Failure.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from rewards.checks import BadReward, check
from rewards.functions.killable import Killable
from rewards.functions.user import LoadError, describe, resolve
from rewards.part import CannotStart, Failure, Part, Row
from rewards.registry import UnknownDataSource, known_sources, rule_for, rule_of
from rewards.spec import RuleSpec
from rewards.table import BadTable

LOAD_TIMEOUT_S = 60.0


def _whole(row: Row) -> str:
    """With the tag that the template opened: a thought that never ends is then known as one."""
    return f"<think>{row.response}" if row.opened else row.response


def _reads_thoughts(rule: Callable) -> bool:
    """Not the rules that measure, nor where a table has said `opened: true`."""
    bound = rule.keywords if isinstance(rule, partial) else {}
    function = rule.func if isinstance(rule, partial) else rule
    module = getattr(function, "__module__", "")
    measures = module.endswith((".length", ".repetition"))
    return module.startswith("rewards.rules.") and not measures and not bound.get("opened")


class RulePart(Part):
    """Raises CannotStart at once for a missing file or a bad table; the rest are failures."""

    def __init__(self, spec: RuleSpec, load_timeout_s: float = LOAD_TIMEOUT_S) -> None:
        self.spec = spec
        self._children: list[Killable] = []
        self._named: Callable | None = None
        try:
            if spec.function is not None:
                function = resolve(spec.function)
                self._children = [
                    Killable(function, spec.timeout_s, load_timeout_s) for _ in range(spec.workers)
                ]
            elif spec.rule is not None:
                self._named = rule_of(spec, "")
            else:
                known_sources(spec.table)  # reads it whole
        except (LoadError, BadTable) as error:
            raise CannotStart(str(error)) from None

    async def score(self, row: Row) -> dict[str, Any]:
        if self._children:
            child = min(self._children, key=lambda child: child.waiting)
            return await child.score(
                str(row.data_source), row.response, row.ground_truth, row.extra_info
            )
        return await self._by_rule(row)

    async def _by_rule(self, row: Row) -> dict[str, Any]:
        source = str(row.data_source)
        try:
            rule = self._named or rule_for(source, self.spec.table)
            text = _whole(row) if _reads_thoughts(rule) else row.response
            result = rule(source, text, row.ground_truth, row.extra_info, **self._options(rule))
            return check(await result if inspect.isawaitable(result) else result)
        except UnknownDataSource as error:
            raise Failure("unknown_source", str(error)) from None
        except BadReward as error:
            raise Failure("bad_value", str(error)) from None
        except Failure:
            raise
        except Exception as error:  # a ground truth that is no text, say
            raise Failure("exception", describe(error, None)) from None

    def _options(self, rule: Callable) -> dict[str, Any]:
        """What only the run knows, for the rules that take it (code); a table may have said it."""
        known = {
            "sandbox_url": self.spec.sandbox_url,
            "allow_unsafe_code": self.spec.allow_unsafe_code,
        }
        taken = inspect.signature(rule).parameters
        return {name: value for name, value in known.items() if value and name in taken}

    async def close(self) -> None:
        """Ends the children, those that hang too."""
        for child in self._children:
            child.close()
