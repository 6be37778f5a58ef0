"""Networks small enough to know every answer of."""

from __future__ import annotations

import numpy as np

from components.latex.vocabulary import BOS, EOS
from components.recognizer.engine import Floats, KVCache, Memory, Step, Tokens


class TableEngine:
    """The next token depends on the picture's number (its darkest pixel's value) and all tokens so far.

    `table[number]` maps a prefix of tokens, without the first, to the probabilities of what follows; others
    follow uniformly. An answer that begins with <eos>, from right to left, has its own table, `backward`.
    The tokens so far travel in `KVCache`, as keys do: a decoder that mixes up or loses rows is caught.
    """

    def __init__(
        self,
        table: list[dict[tuple[int, ...], dict[int, float]]],
        size: int,
        backward: list[dict[tuple[int, ...], dict[int, float]]] | None = None,
    ) -> None:
        self.threads = 2
        self.table, self.size, self.shapes, self.backward = table, size, [], backward or []

    def encode(self, pictures: Floats, alone: bool = True) -> Memory:
        self.shapes.append(pictures.shape)
        number = np.rint(255 - 255 * pictures.max(axis=(1, 2, 3))).astype(np.float32)
        return Memory.unpadded([number[:, None, None, None]], [number[:, None, None, None]])

    def step(self, tokens: Tokens, cache: KVCache, memory: Memory) -> Step:
        beams = len(tokens) // len(memory.cells)
        known = cache.keys[0][:, 0, 0, : cache.position].astype(int)
        logits = np.zeros((*tokens.shape, self.size), np.float32)
        for row, new in enumerate(tokens):
            number = int(memory.keys[0][row // beams, 0, 0, 0])
            for place in range(len(new)):
                first, *prefix = [*known[row], *new[: place + 1]]
                table = {BOS: self.table, EOS: self.backward}.get(int(first))  # or padding
                follows = table[number].get(tuple(map(int, prefix))) if table else None
                if follows is not None:
                    logits[row, place] = -50
                    for token, probability in follows.items():
                        logits[row, place, token] = np.log(probability)
        newest = tokens.astype(np.float32)[:, None, None, :]
        looked = np.ones((len(tokens), 1, tokens.shape[1], 1), np.float32)
        return Step(logits, (newest,), (newest.transpose(0, 1, 3, 2),), (looked,))
