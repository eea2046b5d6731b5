"""How large everything is: Qwen2.5's shapes on a GPU, two layers on a CPU.

GPU.shapes["0.5B"].parameters   ->  494_032_768
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A Qwen2 whose output layer is its embedding."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_heads: int
    vocabulary: int

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        keys = self.hidden // self.heads * self.key_heads
        attention = 2 * self.hidden**2 + self.hidden + 2 * keys * (self.hidden + 1)
        layer = attention + 3 * self.hidden * self.intermediate + 2 * self.hidden
        return self.embedding + self.layers * layer + self.hidden


@dataclass(frozen=True)
class Profile:
    """prompts: of a step. prompt, response: tokens of the timed runs; short: of the others.

    steps: of a timed run; the first is left out of every figure.
    demo: passes over each batch, steps, and the checkpoint after which the demo is killed.
    budget_s: for everything; ending the last run may take another 20 seconds.
    """

    hardware: str
    shapes: dict[str, Shape]
    dtype: str
    prompts: int
    prompt: int
    response: int
    short: int
    steps: int
    demo: tuple[int, int, int]
    budget_s: int

    @property
    def smallest(self) -> str:
        return next(iter(self.shapes))


# Most have the vocabulary of the CPU demo's model, so that the layers' work is what is measured.
SIZES = {
    "tiny": Shape(64, 128, 2, 2, 2, 512),
    "0.4M": Shape(128, 256, 2, 4, 4, 260),  # that model's own shape
    "3M": Shape(256, 768, 4, 8, 8, 260),
    "10M": Shape(384, 1024, 6, 6, 6, 260),
    "30M": Shape(512, 1536, 9, 8, 8, 260),
    "50M-wide": Shape(512, 1536, 9, 8, 8, 32768),  # a vocabulary as large as people's models have
    "100M": Shape(768, 2304, 13, 12, 12, 260),
    "0.5B": Shape(896, 4864, 24, 14, 2, 151936),  # Qwen2.5's
    "1.5B": Shape(1536, 8960, 28, 12, 2, 151936),
}
GPU = Profile(
    hardware="gpu",
    shapes={name: SIZES[name] for name in ("0.5B", "1.5B")},
    dtype="bfloat16",
    prompts=32,
    prompt=512,
    response=512,
    short=128,
    steps=4,
    demo=(4, 24, 20),
    budget_s=460,
)
CPU = Profile(
    hardware="cpu",
    shapes={"tiny": SIZES["tiny"]},
    dtype="float32",
    prompts=8,
    prompt=32,
    response=32,
    short=16,
    steps=3,
    demo=(4, 10, 8),
    budget_s=900,
)
PROFILES = {"gpu": GPU, "cpu": CPU}
