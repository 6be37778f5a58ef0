"""What runs the network: pictures to memory, then one token after another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

# It would report home, and looks at this when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Memory:
    """What the decoder looks at: keys and values of every decoder layer's cross-attention."""

    cross_keys: Floats  # (B, layers, heads, cells, dh)
    cross_values: Floats
    cells: Tokens  # (B,): so many are the row's own, what follows them is padding

    @classmethod
    def whole(cls, cross_keys: Floats, cross_values: Floats) -> Memory:
        """The memory of pictures of one size, without padding."""
        return cls(cross_keys, cross_values, np.full(len(cross_keys), cross_keys.shape[3], np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Memory]) -> Memory:
        """The memory of pictures of any sizes, one part after another."""
        if len(parts) == 1:
            return parts[0]
        most = max(part.cross_keys.shape[3] for part in parts)
        keys, values = (
            np.concatenate([_padded(getattr(part, name), most) for part in parts])
            for name in ("cross_keys", "cross_values")
        )
        return cls(keys, values, np.concatenate([part.cells for part in parts]))

    def take(self, rows: npt.NDArray[np.int64]) -> Memory:
        """The memory of some rows, in their order; a row may occur more than once."""
        return Memory(self.cross_keys[rows], self.cross_values[rows], self.cells[rows])


@dataclass(frozen=True, eq=False)
class State:
    """What the decoder remembers of the t tokens so far: keys and values of its self-attention."""

    self_keys: Floats  # (B, layers, heads, t, dh)
    self_values: Floats

    @classmethod
    def empty(cls, memory: Memory) -> State:
        """The state before the first token."""
        rows, layers, heads, _, size = memory.cross_keys.shape
        nothing = np.zeros((rows, layers, heads, 0, size), np.float32)
        return cls(nothing, nothing)

    def take(self, rows: npt.NDArray[np.int64]) -> State:
        """The state of some rows, in their order; a row may occur more than once."""
        return State(self.self_keys[rows], self.self_values[rows])


class Engine(Protocol):
    """A network that reads pictures."""

    def encode(self, pictures: Floats) -> Memory:
        """Looks at pictures (B, 1, H, W) as `to_input` makes them."""
        ...

    def step(self, tokens: Tokens, position: int, state: State, memory: Memory) -> tuple[Floats, State]:
        """Takes the tokens (B,) at `position` (<bos> is at 0); returns the next one's logits (B, V)."""
        ...


class OnnxEngine:
    """ONNX Runtime on the CPU, with the two graphs of a bundle."""

    def __init__(self, encoder: Path, decoder: Path, threads: int = 0) -> None:
        """Loads the graphs; `threads` = 0 takes all cores. Raises ValueError naming a file that is none."""
        self._encoder = _session(encoder, threads)
        self._decoder = _session(decoder, threads)

    def encode(self, pictures: Floats) -> Memory:
        keys, values = self._encoder.run(["cross_keys", "cross_values"], {"pictures": pictures})
        return Memory.whole(keys, values)

    def step(self, tokens: Tokens, position: int, state: State, memory: Memory) -> tuple[Floats, State]:
        logits, keys, values = self._decoder.run(
            ["logits", "next_keys", "next_values"],
            {
                "tokens": tokens,
                "position": np.array(position, np.int64),
                "self_keys": state.self_keys,
                "self_values": state.self_values,
                "cross_keys": memory.cross_keys,
                "cross_values": memory.cross_values,
                "cells": memory.cells,
            },
        )
        return logits, State(keys, values)


def _padded(array: Floats, cells: int) -> Floats:
    return np.pad(array, ((0, 0),) * 3 + ((0, cells - array.shape[3]), (0, 0)))


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Steps are short: threads that spin in between take the cores from whoever prepares the next pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except Exception as error:  # onnxruntime's errors share no narrower base
        raise ValueError(f"{path}: ONNX Runtime does not take it: {error}") from error
