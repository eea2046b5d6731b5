"""No dropout in training: the policy that is updated is the policy that generated.

    own = take_out(config)          # {"attention_dropout": 0.1}; the configuration says 0 now
    silence(module)
    with put_back(module.config, own):
        ...                         # what is saved names the model's own

Old log-probabilities are computed in eval mode and updates in train mode. With dropout of 0.1 the
first ratio is noise: a KL of 0.005 to 0.03 and a fifth of the tokens clipped before any update.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from verlaunch.inputs.models import noise


def _set(config: Any, values: Mapping[str, Any]) -> None:
    for path, value in values.items():
        *parts, name = path.split(".")
        for part in parts:
            config = getattr(config, part)
        setattr(config, name, value)


def take_out(config: Any) -> dict[str, float]:
    """The settings by which a training pass differs from a plain one, as they were; 0 now."""
    own = noise(config.to_dict())
    _set(config, dict.fromkeys(own, 0.0))
    return own


@contextmanager
def put_back(config: Any, own: Mapping[str, float]) -> Iterator[None]:
    _set(config, own)
    try:
        yield
    finally:
        _set(config, dict.fromkeys(own, 0.0))


def silence(module: torch.nn.Module) -> torch.nn.Module:
    """What the configuration does not reach: a family's fixed ones, and those of an adapter."""
    for part in module.modules():
        if isinstance(part, torch.nn.modules.dropout._DropoutNd):
            part.p = 0.0
    return module
