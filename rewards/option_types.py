"""Whether an option of a rule, as YAML has it, is of the type that its function declares.

    fits("20", int)                   # False: a text is no number
    fits(3, float)                    # True
    said(Literal["exact", "f1"])      # "'exact' or 'f1'"

What is not declared, or declared by a class of the user's own, takes anything.
"""

import collections.abc as abc
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "some text",
    NoneType: "null",
}
_LISTS = (list, tuple, set, frozenset, abc.Sequence, abc.Iterable, abc.Collection, abc.Set)
_MAPS = (dict, abc.Mapping, abc.MutableMapping)


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)


def _fits_plain(given: Any, kind: Any) -> bool:
    if kind is int:  # not 2.0: what counts by it may not take one
        return isinstance(given, int) and not isinstance(given, bool)
    if kind is float:
        return _is_number(given)
    return isinstance(given, kind)


def _items(given: Any, kinds: tuple[Any, ...]) -> bool:
    kinds = tuple(kind for kind in kinds if kind is not Ellipsis)
    return len(kinds) != 1 or all(fits(item, kinds[0]) for item in given)


def fits(given: Any, kind: Any) -> bool:
    if kind in _NAMES or kind is None:
        return kind is None or _fits_plain(given, kind)
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return any(given == one and type(given) is type(one) for one in inner)
    if origin in (Union, UnionType):
        return any(fits(given, one) for one in inner)
    if origin in _LISTS:
        return isinstance(given, list | tuple) and _items(given, inner)
    if origin in _MAPS:
        return isinstance(given, dict) and (len(inner) != 2 or _items(given.values(), inner[1:]))
    return True


def said(kind: Any) -> str:
    """In words, for a message."""
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin in (Union, UnionType):
        return " or ".join(map(said, inner))
    if origin in _LISTS:
        of = f", each {said(inner[0])}" if inner and inner[0] is not Any else ""
        return f"a list{of}"
    if origin in _MAPS:
        return "a table"
    return _NAMES.get(kind, str(getattr(kind, "__name__", kind)))
