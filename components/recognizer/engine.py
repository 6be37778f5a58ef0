"""What runs the network: pictures to memory, then one token after another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

# It would report home, and looks at this when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from components.recognizer.cpu import cores

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

_ROOM = 32  # tokens that there is room for at first; most answers are shorter


@dataclass(frozen=True, eq=False)
class Memory:
    """What the decoder looks at: of each layer, keys and values of its cross-attention. A picture's beams
    share them."""

    keys: tuple[Floats, ...]  # (P, heads, head width, cells)
    values: tuple[Floats, ...]  # (P, heads, cells, head width)
    cells: Tokens  # (P,): so many are the picture's own, what follows them is padding

    @classmethod
    def whole(cls, keys: Sequence[Floats], values: Sequence[Floats]) -> Memory:
        """The memory of pictures of one size, without padding."""
        return cls(tuple(keys), tuple(values), np.full(len(keys[0]), keys[0].shape[3], np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Memory]) -> Memory:
        """The memory of pictures of any sizes, one part after another."""
        if len(parts) == 1:
            return parts[0]
        most = max(part.keys[0].shape[3] for part in parts)

        def together(name: str, axis: int) -> tuple[Floats, ...]:
            layers = zip(*(getattr(part, name) for part in parts), strict=True)
            return tuple(np.concatenate([_padded(array, axis, most) for array in layer]) for layer in layers)

        cells = np.concatenate([part.cells for part in parts])
        return cls(together("keys", 3), together("values", 2), cells)

    def take(self, pictures: Rows) -> Memory:
        """The memory of some pictures, in their order."""
        return Memory(
            tuple(keys[pictures] for keys in self.keys),
            tuple(values[pictures] for values in self.values),
            self.cells[pictures],
        )


@dataclass(frozen=True, eq=False)
class Step:
    """What n more tokens gave."""

    logits: Floats  # (R, n, V)
    keys: tuple[Floats, ...]  # (R, heads, head width, n), of each layer
    values: tuple[Floats, ...]  # (R, heads, n, head width)
    looked: tuple[Floats, ...]  # (R, heads, n, cells): where each layer looked


@dataclass(eq=False)
class Past:
    """What the decoder remembers of the tokens so far, in buffers that are written into and not copied."""

    keys: tuple[Floats, ...]  # (R, heads, head width, room), of each layer's self-attention
    values: tuple[Floats, ...]  # (R, heads, room, head width)
    looked: tuple[Floats, ...]  # (R, heads, cells): the sum of where all layers but the last looked
    position: int = 0  # how many tokens
    tied: Any = None  # what an engine made for just these buffers

    @classmethod
    def empty(cls, memory: Memory, beams: int, room: int = _ROOM) -> Past:
        """Nothing remembered, for `beams` rows of each picture; with no room for what never goes on."""
        pictures, heads, width, cells = memory.keys[0].shape
        rows, layers = pictures * beams, len(memory.keys)
        return cls(
            tuple(np.zeros((rows, heads, width, room), np.float32) for _ in range(layers)),
            tuple(np.zeros((rows, heads, room, width), np.float32) for _ in range(layers)),
            tuple(np.zeros((rows, heads, cells), np.float32) for _ in range(layers - 1)),
        )

    def keep(self, step: Step) -> None:
        """Remembers a step of one token."""
        if self.position == self.keys[0].shape[3]:  # twice the room: each token is moved once on average
            self.keys = tuple(_padded(array, 3, 2 * self.position) for array in self.keys)
            self.values = tuple(_padded(array, 2, 2 * self.position) for array in self.values)
            self.tied = None
        for own, new in zip(self.keys, step.keys, strict=True):
            own[:, :, :, self.position] = new[:, :, :, 0]
        for own, new in zip(self.values, step.values, strict=True):
            own[:, :, self.position] = new[:, :, 0]
        for total, new in zip(self.looked, step.looked, strict=False):
            total += new[:, :, 0]
        self.position += 1

    def take(self, rows: Rows) -> None:
        """Goes on with some rows, in their order; one may occur more than once."""
        if np.array_equal(rows, np.arange(len(self.keys[0]))):
            return
        if len(rows) == len(self.keys[0]):
            for array in (*self.keys, *self.values, *self.looked):
                array[:] = array[rows]
            return
        self.keys = tuple(array[rows] for array in self.keys)
        self.values = tuple(array[rows] for array in self.values)
        self.looked = tuple(array[rows] for array in self.looked)
        self.tied = None


class Engine(Protocol):
    """A network that reads pictures."""

    threads: int  # so many threads may ask at once, to some gain

    def encode(self, pictures: Floats, alone: bool = True) -> Memory:
        """Looks at pictures (P, 1, H, W) as `to_input` makes them; not `alone`: others are at it as well."""
        ...

    def step(self, tokens: Tokens, past: Past, memory: Memory) -> Step:
        """Takes n tokens more, (R, n), the first one at `past.position`; the R rows are those of the P
        pictures, equally many of each, side by side. What it gives is remembered only if `past` keeps it,
        and of one token it is good until the next step."""
        ...


class OnnxEngine:
    """ONNX Runtime on the CPU, with the two graphs of a bundle."""

    def __init__(self, encoder: Path, decoder: Path, threads: int = 0) -> None:
        """Loads the graphs; `threads` = 0 takes all `cores`. Raises ValueError naming a file that is none."""
        self.threads = threads or cores()
        self._encoder = _session(encoder, self.threads)
        self._beside = _session(encoder, 1) if self.threads > 1 else self._encoder
        # A step is so short that to wake a second thread for it takes longer than it saves.
        self._decoder = _session(decoder, 1)
        self._layers = len(self._encoder.get_outputs()) // 2
        # A model without coverage does not take where it looked.
        self._taken = {argument.name for argument in self._decoder.get_inputs()}
        self._given = [argument.name for argument in self._decoder.get_outputs()]

    def encode(self, pictures: Floats, alone: bool = True) -> Memory:
        outputs = (self._encoder if alone else self._beside).run(None, {"pictures": pictures})
        return Memory.whole(outputs[: self._layers], outputs[self._layers :])

    def step(self, tokens: Tokens, past: Past, memory: Memory) -> Step:
        if tokens.shape[1] > 1:  # a whole answer, once
            return self._step(self._decoder.run(None, self._inputs(tokens, past, memory)))
        if past.tied is None or past.tied.memory is not memory:
            past.tied = self._tie(tokens.copy(), past, memory)
        tied: _Tied = past.tied
        tied.tokens[:], tied.position[()] = tokens, past.position
        self._decoder.run_with_iobinding(tied.binding)
        return tied.step

    def _tie(self, tokens: Tokens, past: Past, memory: Memory) -> _Tied:
        """Tells ONNX Runtime once where all lies that a step reads and writes: nothing is copied or looked up
        from step to step."""
        inputs = self._inputs(tokens, past, memory)
        rows, heads, width, _ = past.keys[0].shape
        cells = memory.keys[0].shape[3]
        vocabulary = self._decoder.get_outputs()[0].shape[2]
        shapes = {
            "logits": (rows, 1, vocabulary),
            "new_keys": (rows, heads, width, 1),
            "new_values": (rows, heads, 1, width),
            "new_looked": (rows, heads, 1, cells),
        }
        outputs = [np.empty(shapes[name.split(".")[0]], np.float32) for name in self._given]
        binding = self._decoder.io_binding()
        for name, array in inputs.items():
            if not array.flags.c_contiguous:  # of another engine: ONNX Runtime is told no strides
                inputs[name] = array = np.ascontiguousarray(array)
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in zip(self._given, outputs, strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return _Tied(binding, tokens, inputs["position"], memory, self._step(outputs), inputs)

    def _inputs(self, tokens: Tokens, past: Past, memory: Memory) -> dict[str, npt.NDArray[Any]]:
        inputs: dict[str, npt.NDArray[Any]] = {
            "tokens": tokens,
            "position": np.array(past.position, np.int64),
            "cells": memory.cells,
        }
        for name, arrays in (
            ("keys", memory.keys),
            ("values", memory.values),
            ("past_keys", past.keys),
            ("past_values", past.values),
            ("past_looked", past.looked),
        ):
            names = (f"{name}.{layer}" for layer in range(len(arrays)))
            inputs.update((n, array) for n, array in zip(names, arrays, strict=True) if n in self._taken)
        return inputs

    def _step(self, outputs: Sequence[Floats]) -> Step:
        logits, *others = outputs
        n = self._layers
        return Step(logits, tuple(others[:n]), tuple(others[n : 2 * n]), tuple(others[2 * n :]))


@dataclass(frozen=True, eq=False)
class _Tied:
    """A step of one token, with the places of all that it reads and writes."""

    binding: ort.IOBinding
    tokens: Tokens
    position: Tokens  # ()
    memory: Memory
    step: Step
    inputs: dict[str, npt.NDArray[Any]]  # ONNX Runtime knows their addresses: they must not go away


def _padded(array: Floats, axis: int, size: int) -> Floats:
    """The array with zeros at the end of an axis."""
    shape = list(array.shape)
    before, shape[axis] = shape[axis], size
    result = np.zeros(shape, np.float32)
    result[(slice(None),) * axis + (slice(before),)] = array
    return result


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Within a picture threads wait for each other without sleeping, which would take longer than most
    # operations; after it they sleep at once, and leave the cores to whoever prepares the next pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except Exception as error:  # onnxruntime's errors share no narrower base
        raise ValueError(f"{path}: ONNX Runtime does not take it: {error}") from error
