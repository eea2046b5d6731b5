"""Weights written to safetensors files one after the other, whatever their size together.

writer = ShardWriter(folder)
writer.add("score.weight", tensor)
writer.close()     # model-00001-of-00001.safetensors and model.safetensors.index.json
"""

import json
from pathlib import Path
from typing import Any

SHARD_BYTES = 2 * 10**9


class ShardWriter:
    """Collects tensors and writes a file whenever there are enough."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._size, self._total = folder, 0, 0
        self._held: dict[str, Any] = {}
        self._names: list[list[str]] = []

    def add(self, name: str, tensor: Any) -> None:
        self._held[name] = tensor.contiguous()
        self._size += tensor.nbytes
        if self._size >= SHARD_BYTES:
            self._write()

    def _path(self, number: int) -> Path:
        return self._folder / f"model-{number:05d}.safetensors"

    def _write(self) -> None:
        from safetensors.torch import save_file

        if not self._held:
            return
        self._names.append(list(self._held))
        save_file(self._held, self._path(len(self._names)), metadata={"format": "pt"})
        self._total += self._size
        self._held, self._size = {}, 0

    def close(self) -> None:
        """Gives the files the names that libraries look for."""
        self._write()
        count = len(self._names)
        places: dict[str, str] = {}
        for number, names in enumerate(self._names, start=1):
            last = f"model-{number:05d}-of-{count:05d}.safetensors"
            self._path(number).rename(self._folder / last)
            places |= dict.fromkeys(names, last)
        index = {"metadata": {"total_size": self._total}, "weight_map": places}
        path = self._folder / "model.safetensors.index.json"
        path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
