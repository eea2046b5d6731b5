"""The one reader of the reward's YAML files: a judge's settings, a mix, a table of rules.

    read(Path("mix.yaml"))    # {"composite_reward": {"weights": {"rule_score": 1e-06}}}

YAML 1.2 where it matters: 1e-6 is a number (YAML 1.1, and PyYAML, make it a text). A key that
stands twice is refused, of which PyYAML silently takes the last. Left out on purpose: what the keys
mean.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

_NUMBER = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)[eE][-+]?[0-9]+$")
_MERGE = "tag:yaml.org,2002:merge"


class BadYaml(ValueError):
    """The file is none that can be used; the message names it, and the line."""


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        lines: dict[Hashable, int] = {}
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if isinstance(key, Hashable) and key in lines:
                said = f"{key!r} stands twice, here and in line {lines[key]}; keep one of them"
                raise yaml.MarkedYAMLError(problem=said, problem_mark=key_node.start_mark)
            if isinstance(key, Hashable):
                lines[key] = line
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def _said(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f" line {mark.line + 1}:" if mark else ""
    return f"{line} {getattr(error, 'problem', None) or ' '.join(str(error).split())}"


def read(path: Path) -> Any:
    """Raises BadYaml."""
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except OSError as error:
        raise BadYaml(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadYaml(f"{path} is not YAML: it is no UTF-8 text") from None
    except yaml.YAMLError as error:
        raise BadYaml(f"{path} is not YAML:{_said(error)}") from None
    except (RecursionError, ValueError) as error:  # a date such as 2025-13-45
        raise BadYaml(f"{path} is not YAML: {error}") from None
