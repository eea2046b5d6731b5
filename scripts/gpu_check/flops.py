"""Floating-point operations of a PPO step, and the share of a card's peak that they are (MFU).

    mfu(update_flops(shape, tokens, length), seconds, peak=989e12)   ->  0.31

With N weights in matrix products, T tokens in sequences of S, L layers of width h:
    forward pass    2 N T + 2 L S h T       the second term is causal attention: QK' and AV,
    update          three times that        half of 4 S h per token and layer
    step            updates of policy and critic; forward passes for generation, old log-probs,
                    reference (policy) and values (critic)
N of the policy is all weights, whose embedding is the output layer too; the critic has no output
layer. Work that is done twice (gradient checkpointing) counts once, padding not at all. The peak is
the dense bf16 one of the maker's data sheet.
"""

from gpu_check.sizes import Shape

# The first whose name stands in the card's.
PEAKS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H800": 989e12,
    "H20": 148e12,
    "A100": 312e12,
    "A800": 312e12,
    "A10G": 70e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}


def peak_of(card: str) -> float | None:
    """Of one card, per second; None where it is not known."""
    return next((peak for name, peak in PEAKS.items() if name in card), None)


def _forward(weights: int, shape: Shape, tokens: float, length: float) -> float:
    return 2 * tokens * (weights + shape.layers * length * shape.hidden)


def _roles(shape: Shape) -> tuple[int, int]:
    """Weights in matrix products of policy and critic."""
    return shape.parameters, shape.parameters - shape.embedding


def update_flops(shape: Shape, tokens: float, length: float) -> float:
    return sum(3 * _forward(weights, shape, tokens, length) for weights in _roles(shape))


def step_flops(shape: Shape, tokens: float, length: float) -> float:
    policy, critic = (_forward(weights, shape, tokens, length) for weights in _roles(shape))
    return update_flops(shape, tokens, length) + 3 * policy + critic


def mfu(flops: float, seconds: float, peak: float | None) -> float | None:
    """In [0, 1]; None where the peak is not known."""
    return round(flops / seconds / peak, 4) if peak and seconds > 0 else None
