"""Inference engines: encode pictures to memory, then decode token by token with a key-value cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

# ONNX Runtime reads this switch for its telemetry when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort

from components.recognizer.cpu import cores
from components.recognizer.device import CPU, Device, providers, warn_of_fallback

Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

_CAPACITY = 32  # initial capacity in tokens; most sequences are shorter


@dataclass(frozen=True, eq=False)
class Memory:
    """Keys and values of each layer's cross-attention, shared by a picture's beams."""

    keys: tuple[Floats, ...]  # (P, heads, head width, cells)
    values: tuple[Floats, ...]  # (P, heads, cells, head width)
    cells: Tokens  # (P,): number of valid cells; the rest is padding

    @classmethod
    def unpadded(cls, keys: Sequence[Floats], values: Sequence[Floats]) -> Memory:
        """Memory of pictures of one size, without padding."""
        return cls(tuple(keys), tuple(values), np.full(len(keys[0]), keys[0].shape[3], np.int64))

    @classmethod
    def concatenate(cls, parts: Sequence[Memory]) -> Memory:
        """Concatenate memories of pictures of any sizes, padding them to the longest."""
        if len(parts) == 1:
            return parts[0]
        longest = max(part.keys[0].shape[3] for part in parts)

        def concatenated(name: str, axis: int) -> tuple[Floats, ...]:
            layers = zip(*(getattr(part, name) for part in parts), strict=True)
            return tuple(
                np.concatenate([_padded(array, axis, longest) for array in layer]) for layer in layers
            )

        cells = np.concatenate([part.cells for part in parts])
        return cls(concatenated("keys", 3), concatenated("values", 2), cells)

    def select(self, pictures: Rows) -> Memory:
        """Memory of the given pictures, in that order."""
        return Memory(
            tuple(keys[pictures] for keys in self.keys),
            tuple(values[pictures] for values in self.values),
            self.cells[pictures],
        )


@dataclass(frozen=True, eq=False)
class Step:
    """The decoder's output for n more tokens."""

    logits: Floats  # (R, n, V)
    keys: tuple[Floats, ...]  # (R, heads, head width, n), of each layer
    values: tuple[Floats, ...]  # (R, heads, n, head width)
    attention: tuple[Floats, ...]  # (R, heads, n, cells): cross-attention of each layer


@dataclass(eq=False)
class KVCache:
    """Keys and values of the tokens so far, in preallocated buffers."""

    keys: tuple[Floats, ...]  # (R, heads, head width, capacity), of each layer's self-attention
    values: tuple[Floats, ...]  # (R, heads, capacity, head width)
    coverage: tuple[Floats, ...]  # (R, heads, cells): summed cross-attention of all layers but the last
    position: int = 0  # number of tokens
    io_binding: Any = None  # an engine's binding to these buffers

    @classmethod
    def empty(cls, memory: Memory, beams: int, capacity: int = _CAPACITY) -> KVCache:
        """An empty cache for `beams` rows a picture; `capacity` 0 for one pass over whole sequences."""
        pictures, heads, width, cells = memory.keys[0].shape
        rows, layers = pictures * beams, len(memory.keys)
        return cls(
            tuple(np.zeros((rows, heads, width, capacity), np.float32) for _ in range(layers)),
            tuple(np.zeros((rows, heads, capacity, width), np.float32) for _ in range(layers)),
            tuple(np.zeros((rows, heads, cells), np.float32) for _ in range(layers - 1)),
        )

    def append(self, step: Step) -> None:
        """Append a step of one token."""
        if self.position == self.keys[0].shape[3]:  # double the capacity: amortized, each token moves once
            self.keys = tuple(_padded(array, 3, 2 * self.position) for array in self.keys)
            self.values = tuple(_padded(array, 2, 2 * self.position) for array in self.values)
            self.io_binding = None
        for own, new in zip(self.keys, step.keys, strict=True):
            own[:, :, :, self.position] = new[:, :, :, 0]
        for own, new in zip(self.values, step.values, strict=True):
            own[:, :, self.position] = new[:, :, 0]
        for total, new in zip(self.coverage, step.attention, strict=False):
            total += new[:, :, 0]
        self.position += 1

    def select(self, rows: Rows) -> None:
        """Keep the given rows, in that order; a row may occur more than once."""
        if np.array_equal(rows, np.arange(len(self.keys[0]))):
            return
        if len(rows) == len(self.keys[0]):
            for array in (*self.keys, *self.values, *self.coverage):
                array[:] = array[rows]
            return
        self.keys = tuple(array[rows] for array in self.keys)
        self.values = tuple(array[rows] for array in self.values)
        self.coverage = tuple(array[rows] for array in self.coverage)
        self.io_binding = None


class Engine(Protocol):
    """A network that reads pictures."""

    threads: int  # number of threads that may profitably call at the same time

    def encode(self, pictures: Floats, alone: bool = True) -> Memory:
        """Encode pictures (P, 1, H, W) from `to_input`; `alone`: no other thread encodes at the same time."""
        ...

    def step(self, tokens: Tokens, cache: KVCache, memory: Memory) -> Step:
        """Decode n more tokens (R, n), the first at `cache.position`; the R rows belong to the P pictures,
        equally many each, side by side. The caller appends the result to `cache` to keep it. The result of a
        one-token step is valid until the next step."""
        ...


class OnnxEngine:
    """ONNX Runtime, with the two graphs of a bundle."""

    def __init__(self, encoder: Path, decoder: Path, threads: int = 0, device: Device = "cpu") -> None:
        """Load the graphs; `threads` = 0 uses all `cores`. Raises ValueError that names an invalid file.

        On a GPU two encodings at once gain nothing: a single session serves all threads.
        """
        self.threads = threads or cores()
        self._encoder = _session(encoder, self.threads, device)
        self.on_gpu = self._encoder.get_providers()[0] != CPU
        several = self.threads > 1 and not self.on_gpu
        self._single_threaded = _session(encoder, 1) if several else self._encoder
        # A decoder step is so short that waking a second thread costs more than it saves.
        self._decoder = _session(decoder, 1)
        self._layers = len(self._encoder.get_outputs()) // 2
        # A model without coverage has no `past_coverage` inputs.
        self._input_names = {argument.name for argument in self._decoder.get_inputs()}
        self._output_names = [argument.name for argument in self._decoder.get_outputs()]

    def encode(self, pictures: Floats, alone: bool = True) -> Memory:
        outputs = (self._encoder if alone else self._single_threaded).run(None, {"pictures": pictures})
        return Memory.unpadded(outputs[: self._layers], outputs[self._layers :])

    def step(self, tokens: Tokens, cache: KVCache, memory: Memory) -> Step:
        if tokens.shape[1] > 1:  # whole sequences, in a single pass
            return self._step(self._decoder.run(None, self._inputs(tokens, cache, memory)))
        if cache.io_binding is None or cache.io_binding.memory is not memory:
            cache.io_binding = self._bind(tokens.copy(), cache, memory)
        bound: _BoundStep = cache.io_binding
        bound.tokens[:], bound.position[()] = tokens, cache.position
        self._decoder.run_with_iobinding(bound.binding)
        return bound.step

    def _bind(self, tokens: Tokens, cache: KVCache, memory: Memory) -> _BoundStep:
        """Bind ONNX Runtime's inputs and outputs once, so that no step copies or looks up a buffer."""
        inputs = self._inputs(tokens, cache, memory)
        rows, heads, width, _ = cache.keys[0].shape
        cells = memory.keys[0].shape[3]
        vocabulary = self._decoder.get_outputs()[0].shape[2]
        shapes = {
            "logits": (rows, 1, vocabulary),
            "new_keys": (rows, heads, width, 1),
            "new_values": (rows, heads, 1, width),
            "new_attention": (rows, heads, 1, cells),
        }
        outputs = [np.empty(shapes[name.split(".")[0]], np.float32) for name in self._output_names]
        binding = self._decoder.io_binding()
        for name, array in inputs.items():
            if not array.flags.c_contiguous:  # from another engine: bindings have no strides
                inputs[name] = array = np.ascontiguousarray(array)
            binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
        for name, array in zip(self._output_names, outputs, strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        return _BoundStep(binding, tokens, inputs["position"], memory, self._step(outputs), inputs)

    def _inputs(self, tokens: Tokens, cache: KVCache, memory: Memory) -> dict[str, npt.NDArray[Any]]:
        inputs: dict[str, npt.NDArray[Any]] = {
            "tokens": tokens,
            "position": np.array(cache.position, np.int64),
            "cells": memory.cells,
        }
        for name, arrays in (
            ("keys", memory.keys),
            ("values", memory.values),
            ("past_keys", cache.keys),
            ("past_values", cache.values),
            ("past_coverage", cache.coverage),
        ):
            names = (f"{name}.{layer}" for layer in range(len(arrays)))
            inputs.update(
                (n, array) for n, array in zip(names, arrays, strict=True) if n in self._input_names
            )
        return inputs

    def _step(self, outputs: Sequence[Floats]) -> Step:
        logits, *others = outputs
        n = self._layers
        return Step(logits, tuple(others[:n]), tuple(others[n : 2 * n]), tuple(others[2 * n :]))


@dataclass(frozen=True, eq=False)
class _BoundStep:
    """A one-token step bound to its buffers."""

    binding: ort.IOBinding
    tokens: Tokens
    position: Tokens  # ()
    memory: Memory
    step: Step
    inputs: dict[str, npt.NDArray[Any]]  # kept alive: ONNX Runtime holds their addresses


def _padded(array: Floats, axis: int, size: int) -> Floats:
    """The array padded with zeros at the end of an axis."""
    shape = list(array.shape)
    before, shape[axis] = shape[axis], size
    result = np.zeros(shape, np.float32)
    result[(slice(None),) * axis + (slice(before),)] = array
    return result


def _session(path: Path, threads: int, device: Device = "cpu") -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    # Within a run threads spin while they wait: sleeping would take longer than most operations. After it
    # they sleep at once and leave the cores to the preparation of the next pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    options.add_session_config_entry("session.force_spinning_stop", "1")
    wanted = providers(device, ort.get_available_providers())
    try:
        session = ort.InferenceSession(path.read_bytes(), options, providers=wanted)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except Exception as error:  # onnxruntime's errors share no narrower base
        raise ValueError(f"{path}: ONNX Runtime rejects it: {error}") from error
    if session.get_providers()[0] != wanted[0]:  # its libraries, or the GPU itself, are missing
        warn_of_fallback(f"{wanted[0]} does not start; ONNX Runtime's message above says why")
    return session
