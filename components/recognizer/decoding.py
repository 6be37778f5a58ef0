"""From memory to tokens: beam search with cached keys and values, all pictures and beams in one step.

The search maximises the probability of the whole token sequence, its end included, with no bonus for
length: what is ranked is what is reported as confidence. With one beam it is greedy decoding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.latex.vocabulary import BOS, EOS, PAD, UNK
from components.recognizer.engine import Engine, Floats, Memory, State

Scores = npt.NDArray[np.float64]  # natural logarithms of probabilities
Ids = npt.NDArray[np.int64]

_NEVER = (PAD, BOS, UNK)  # no answer holds these


@dataclass(frozen=True)
class Hypothesis:
    """A complete token sequence."""

    ids: tuple[int, ...]  # without <bos> and <eos>
    score: float  # ln of its probability, that of <eos> included


def decode(
    engine: Engine, memory: Memory, max_tokens: int, beam: int = 1, n_best: int = 1
) -> list[list[Hypothesis]]:
    """Finds for each of the P pictures in `memory` up to `n_best` sequences, the most probable first.

    Every sequence has at most `max_tokens` tokens and ends by <eos>. Raises ValueError where `n_best` is more
    than `beam`, or one of them is less than 1.
    """
    if not 1 <= n_best <= beam:
        raise ValueError(f"n_best is {n_best} and beam {beam}: expected 1 <= n_best <= beam")
    pictures = len(memory.cross_keys)
    found: list[list[Hypothesis]] = [[] for _ in range(pictures)]
    running = np.arange(pictures)  # which pictures the rows are of: `beam` rows each, side by side
    if beam > 1:
        memory = memory.take(np.repeat(running, beam))
    state = State.empty(memory)
    tokens = np.full((pictures, beam, 1), BOS, np.int64)  # grows along its last axis
    # At first all beams of a picture are the same: only one counts.
    scores = np.where(np.arange(beam) == 0, 0.0, -np.inf) * np.ones((pictures, 1))

    for position in range(max_tokens + 1):
        logits, state = engine.step(tokens[:, :, -1].ravel(), position, state, memory)
        steps = _log_probabilities(logits).reshape(len(running), beam, -1)
        if position == max_tokens:
            steps[:, :, np.arange(steps.shape[2]) != EOS] = -np.inf
        choice = _best(scores[:, :, None] + steps, beam)
        for row, picture in enumerate(running):
            for at in np.flatnonzero(choice.ended[row]):
                ids = tokens[row, choice.ended_beam[row, at], 1:]
                found[picture].append(Hypothesis(tuple(ids.tolist()), float(choice.ended_score[row, at])))
            found[picture] = sorted(found[picture], key=lambda h: -h.score)[:n_best]
        scores = choice.score
        open_ = np.array(
            [
                # Probabilities only shrink: what is behind now stays behind.
                np.isfinite(scores[row, 0]) and (len(hs) < n_best or scores[row, 0] > hs[-1].score)
                for row, hs in enumerate(found[picture] for picture in running)
            ]
        )
        if not open_.any():
            break
        parents = choice.beam[open_]
        rows = np.flatnonzero(open_)[:, None] * beam + parents
        tokens = np.concatenate(
            [tokens.reshape(-1, position + 1)[rows], choice.token[open_, :, None]], axis=2
        )
        scores, running = scores[open_], running[open_]
        if not np.array_equal(rows.ravel(), np.arange(len(open_) * beam)):
            state = state.take(rows.ravel())
        if not open_.all():
            memory = memory.take((np.flatnonzero(open_)[:, None] * beam + np.arange(beam)).ravel())
    return found


@dataclass(frozen=True, eq=False)
class _Choice:
    """How each picture's beams go on, the best first, and which of them end here; all (pictures, beam)."""

    beam: Ids
    token: Ids
    score: Scores
    ended: npt.NDArray[np.bool_]
    ended_beam: Ids
    ended_score: Scores


def _best(scores: Scores, beam: int) -> _Choice:
    """Chooses from the scores (pictures, beam, V) of all continuations."""
    pictures, _, size = scores.shape
    flat = scores.reshape(pictures, -1)
    # At most `beam` of the best 2 * beam are ends, so that `beam` open ones are left.
    count = min(2 * beam, flat.shape[1])
    top = np.argpartition(-flat, count - 1, axis=1)[:, :count]
    # By number where scores are equal: the answer must not depend on how numpy partitions.
    top = np.take_along_axis(top, np.lexsort((top, -np.take_along_axis(flat, top, 1)), axis=1), axis=1)
    best = np.take_along_axis(flat, top, axis=1)
    parent, token = top // size, top % size
    ends = token == EOS
    going = np.argsort(ends, axis=1, kind="stable")[:, :beam]
    return _Choice(
        beam=np.take_along_axis(parent, going, axis=1),
        token=np.take_along_axis(token, going, axis=1),
        score=np.where(np.take_along_axis(ends, going, 1), -np.inf, np.take_along_axis(best, going, 1)),
        ended=(ends & np.isfinite(best))[:, :beam],
        ended_beam=parent[:, :beam],
        ended_score=best[:, :beam],
    )


def _log_probabilities(logits: Floats) -> Scores:
    """Log-softmax (rows, V), with what must not be answered at minus infinity (it keeps its probability)."""
    if not np.isfinite(logits).all():
        raise ValueError(
            "the model's logits are not finite numbers: its weights are broken, or its precision"
        )
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    wide -= np.log(np.exp(wide).sum(axis=1, keepdims=True))
    wide[:, _NEVER] = -np.inf
    return wide
