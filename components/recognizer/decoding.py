"""From memory to tokens: beam search with cached keys and values, all pictures and beams in one step.

The search maximises the probability of the whole token sequence, its end included, with no bonus for length.
Only tokens are offered that keep the answer LaTeX (`latex.validity`), with the probability that the model
gives them. With one beam it is greedy decoding. A model that writes in both directions searches in both; what
was found in one is scored in the other, and the mean of both decides: BTTR's re-scoring (Zhao et al. 2021).
Where a picture is looked at in several sizes, each finds its own, all judge all, and the mean of their
probabilities decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.latex.constraints import Grammar
from components.latex.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from components.recognizer.engine import Engine, Floats, Memory, Past

Scores = npt.NDArray[np.float64]  # natural logarithms of probabilities
Ids = npt.NDArray[np.int64]

_Known = dict[tuple[int, ...], list[float | None]]  # each look's score of a sequence, where it found it

_NEVER = (PAD, BOS, UNK)  # no answer holds these
_WORSE = 8.0  # nats: what is so much less probable than the best is not looked for
_SHRINK = 0.75  # rows are dropped when fewer than this share is still open: dropping copies the others


@dataclass(frozen=True)
class Hypothesis:
    """A complete token sequence."""

    ids: tuple[int, ...]  # without <bos> and <eos>, from left to right
    score: float  # ln of its probability, that of its end included; of both directions the mean


class Rules:
    """What a model's answers may be: grammars over its vocabulary, and the longest answer."""

    def __init__(self, vocabulary: Vocabulary, max_tokens: int, both_ways: bool = False) -> None:
        self.max_tokens, self.both_ways = max_tokens, both_ways
        self.forward = Grammar(vocabulary)
        self.backward = Grammar(vocabulary, backward=True) if both_ways else None


def decode(
    engine: Engine,
    views: Sequence[Memory],
    rules: Rules,
    beam: int = 1,
    n_best: int = 1,
    at_once: bool = False,
) -> list[list[Hypothesis]]:
    """Finds for each of P pictures up to `n_best` sequences, the best first.

    `views` are memories of the same P pictures, in one or more sizes; one beam looks at the first alone.
    Every sequence is a formula of at most `rules.max_tokens` tokens. All views are searched in the same
    steps; `at_once` both directions at the same time, in two threads. Raises ValueError where `n_best` is
    more than `beam`, or one of them is less than 1.
    """
    if not 1 <= n_best <= beam:
        raise ValueError(f"n_best is {n_best} and beam {beam}: expected 1 <= n_best <= beam")
    if beam == 1:
        return [[found] for found in greedy(engine, views[0], rules.forward, rules.max_tokens)]
    ways = [rules.forward, rules.backward] if rules.backward else [rules.forward]
    memory, pictures = Memory.joined(views), len(views[0].cells)

    def write(grammar: Grammar) -> list[list[Hypothesis]]:
        return search(engine, memory, grammar, rules.max_tokens, beam, beam, grammar is rules.backward)

    if at_once and len(ways) > 1:
        with ThreadPoolExecutor(2) as both:
            written = list(both.map(write, ways))
    else:
        written = list(map(write, ways))
    begins = range(0, len(memory.cells), pictures)
    found = [hypotheses[begin : begin + pictures] for begin in begins for hypotheses in written]
    best = judged(engine, memory, found, beam) if len(found) > 1 else found[0]
    return [hypotheses[:n_best] for hypotheses in best]


def greedy(engine: Engine, memory: Memory, grammar: Grammar, max_tokens: int) -> list[Hypothesis]:
    """What `search` finds with one beam, from left to right, with less ado."""
    pictures = len(memory.cells)
    running = list(range(pictures))
    past = Past.empty(memory, beams=1)
    states = [grammar.start] * pictures
    written: list[list[int]] = [[] for _ in range(pictures)]
    scores = [0.0] * pictures
    for position in range(max_tokens + 1):
        last = np.array([[(written[picture] or [BOS])[-1]] for picture in running], np.int64)
        step = engine.step(last, past, memory)
        past.keep(step)
        steps = _log_softmax(_finite(step.logits[:, 0]))
        ended = np.zeros(len(running), bool)
        for row, picture in enumerate(running):
            ids = written[picture]
            if ids and ids[-1] == EOS:  # done, but not yet dropped
                ended[row] = True
                continue
            mask = grammar.unlooped(grammar.allowed(states[picture], max_tokens - position), ids)
            token = int(np.where(mask, steps[row], -np.inf).argmax())
            scores[picture] += float(steps[row, token])
            ids.append(token)
            if token == EOS:
                ended[row] = True
            else:
                states[picture] = grammar.advance(states[picture], token)
        if ended.all():
            break
        if 1 - ended.mean() < _SHRINK:
            kept = np.flatnonzero(~ended)
            running = [running[row] for row in kept]
            past.take(kept)
            memory = memory.take(kept)
    return [Hypothesis(tuple(ids[:-1]), score) for ids, score in zip(written, scores, strict=True)]


def search(
    engine: Engine,
    memory: Memory,
    grammar: Grammar,
    max_tokens: int,
    beam: int,
    n_best: int,
    backward: bool = False,
) -> list[list[Hypothesis]]:
    """Beam search in one direction; the most probable sequences of each picture, the best first."""
    pictures = len(memory.cells)
    found: list[list[Hypothesis]] = [[] for _ in range(pictures)]
    running = np.arange(pictures)  # which pictures the rows are of: `beam` rows each, side by side
    past = Past.empty(memory, beam)
    tokens = np.full((pictures, beam, 1), EOS if backward else BOS, np.int64)  # grows along its last axis
    states = np.empty((pictures, beam), object)
    states.fill(grammar.start)
    # At first all beams of a picture are the same: only one counts.
    scores = np.where(np.arange(beam) == 0, 0.0, -np.inf) * np.ones((pictures, 1))

    for position in range(max_tokens + 1):
        step = engine.step(tokens[:, :, -1].reshape(-1, 1), past, memory)
        past.keep(step)
        steps = _log_probabilities(step.logits[:, 0], backward).reshape(len(running), beam, -1)
        _forbid(steps, scores, states, tokens, grammar, max_tokens - position)
        choice = _best(scores[:, :, None] + steps, beam)
        _collect(found, running, choice, tokens, n_best, backward)
        scores = _pruned(choice.score, [found[picture] for picture in running], n_best)
        open_ = np.isfinite(scores).any(axis=1)
        if not open_.any():
            break
        # Rows that are done are dropped, but not one by one: dropping copies the memory of the others.
        kept = open_ if open_.mean() < _SHRINK else np.ones_like(open_)
        parents = choice.beam[kept]
        rows = np.flatnonzero(kept)[:, None] * beam + parents
        states = _advanced(grammar, states.ravel()[rows], choice.token[kept], scores[kept])
        tokens = np.concatenate([tokens.reshape(-1, position + 1)[rows], choice.token[kept, :, None]], axis=2)
        scores, running = scores[kept], running[kept]
        past.take(rows.ravel())
        if not kept.all():
            memory = memory.take(np.flatnonzero(kept))
    return found


def _collect(
    found: list[list[Hypothesis]], running: Ids, choice: _Choice, tokens: Ids, n_best: int, backward: bool
) -> None:
    """Puts what ends here among the best of its picture."""
    for row, picture in enumerate(running):
        for at in np.flatnonzero(choice.ended[row]):
            ids = tokens[row, choice.ended_beam[row, at], 1:].tolist()
            score = float(choice.ended_score[row, at])
            found[picture].append(Hypothesis(tuple(ids[::-1] if backward else ids), score))
        found[picture] = sorted(found[picture], key=lambda h: -h.score)[:n_best]


def _pruned(scores: Scores, found: Sequence[Sequence[Hypothesis]], n_best: int) -> Scores:
    """The beams' scores, minus infinity where a beam can't come among the best any more."""
    for row, best in enumerate(found):
        if best:
            # Probabilities only shrink: what is behind now stays behind.
            bar = max(best[0].score - _WORSE, best[-1].score if len(best) == n_best else -np.inf)
            scores[row, scores[row] <= bar] = -np.inf
    return scores


def judged(
    engine: Engine, memory: Memory, found: Sequence[Sequence[Sequence[Hypothesis]]], most: int
) -> list[list[Hypothesis]]:
    """What was found of each picture in the opinion of all views, the best first; of what was found, the
    `most` that one of them thought best.

    `memory` has all pictures of the first view, then of the next; `found` has of the first view what each
    direction found, then of the next. A score is the mean of both directions; of several views it is ln of
    the mean of their probabilities: what one sees and the other does not counts for more than what both half
    see.
    """
    views = len(memory.cells) // len(found[0])
    ways = len(found) // views
    known: list[_Known] = [{} for _ in found[0]]
    for look, theirs in enumerate(found):
        for candidates, hypotheses in zip(known, theirs, strict=True):
            for hypothesis in hypotheses:
                candidates.setdefault(hypothesis.ids, [None] * len(found))[look] = hypothesis.score
    known = [_promising(candidates, most) for candidates in known]
    asked = [
        [(ids, way) for ids, scores in c.items() for way in range(ways) if scores[view * ways + way] is None]
        for view in range(views)
        for c in known
    ]
    for row, (wanted, scores) in enumerate(zip(asked, sequence_scores(engine, memory, asked), strict=True)):
        view, picture = divmod(row, len(known))
        for (ids, way), score in zip(wanted, scores, strict=True):
            known[picture][ids][view * ways + way] = score
    return [
        sorted((Hypothesis(ids, _together(s, ways)) for ids, s in c.items()), key=lambda h: -h.score)
        for c in known
    ]


def _promising(candidates: _Known, most: int) -> _Known:
    def best(item: tuple[tuple[int, ...], list[float | None]]) -> float:
        return max(score for score in item[1] if score is not None)

    return dict(sorted(candidates.items(), key=best, reverse=True)[:most])


def _together(scores: Sequence[float | None], ways: int) -> float:
    looks = np.array(scores, np.float64).reshape(-1, ways).mean(axis=1)
    return float(np.logaddexp.reduce(looks) - np.log(len(looks)))


def sequence_scores(
    engine: Engine, memory: Memory, asked: Sequence[Sequence[tuple[tuple[int, ...], int]]]
) -> list[list[float]]:
    """ln of the probability of sequences of each picture, from left to right (0) or from right to left (1),
    all in one step."""
    most = max(map(len, asked))
    if not most:
        return [[] for _ in asked]
    longest = max(len(ids) for wanted in asked for ids, _ in wanted)
    tokens = np.full((len(asked), most, longest + 2), PAD, np.int64)
    for row, wanted in enumerate(asked):
        for place, (ids, way) in enumerate(wanted):
            whole = [BOS, *ids, EOS]
            tokens[row, place, : len(whole)] = whole[::-1] if way else whole
    flat = tokens.reshape(-1, longest + 2)
    step = engine.step(flat[:, :-1].copy(), Past.empty(memory, most, room=0), memory)
    next_ = np.take_along_axis(_log_softmax(step.logits), flat[:, 1:, None], axis=2)[:, :, 0]
    totals = np.where(flat[:, 1:] == PAD, 0.0, next_).sum(axis=1).reshape(len(asked), most)
    return [row[: len(wanted)].tolist() for row, wanted in zip(totals, asked, strict=True)]


def _forbid(
    steps: Scores,
    scores: Scores,
    states: npt.NDArray[np.object_],
    tokens: Ids,
    grammar: Grammar,
    room: int,
) -> None:
    """Takes away what would not be LaTeX, would be too long, or would go round in circles."""
    for row, beam in zip(*np.nonzero(np.isfinite(scores)), strict=True):
        mask = grammar.allowed(states[row, beam], room)
        mask = grammar.unlooped(mask, tokens[row, beam, 1:].tolist())
        steps[row, beam, ~mask] = -np.inf


def _advanced(
    grammar: Grammar, states: npt.NDArray[np.object_], tokens: Ids, scores: Scores
) -> npt.NDArray[np.object_]:
    result = np.empty_like(states)
    for place in np.ndindex(*states.shape):
        state: Any = states[place]
        result[place] = grammar.advance(state, int(tokens[place])) if np.isfinite(scores[place]) else state
    return result


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
    row = np.arange(pictures)[:, None]
    flat = scores.reshape(pictures, -1)
    # At most `beam` of the best 2 * beam are ends, so that `beam` open ones are left.
    count = min(2 * beam, flat.shape[1])
    top = np.argpartition(-flat, count - 1, axis=1)[:, :count]
    # By number where scores are equal: the answer must not depend on how numpy partitions.
    top = top[row, np.lexsort((top, -flat[row, top]), axis=1)]
    best, parent, token = flat[row, top], top // size, top % size
    ends = token == EOS
    going = np.argsort(ends, axis=1, kind="stable")[:, :beam]
    return _Choice(
        beam=parent[row, going],
        token=token[row, going],
        score=np.where(ends[row, going], -np.inf, best[row, going]),
        ended=(ends & np.isfinite(best))[:, :beam],
        ended_beam=parent[:, :beam],
        ended_score=best[:, :beam],
    )


def _log_probabilities(logits: Floats, backward: bool) -> Scores:
    """Log-softmax (rows, V), with what must not be answered at minus infinity (it keeps its probability).

    From right to left an answer ends with <bos>; here <eos> is the end in both directions.
    """
    wide = _log_softmax(_finite(logits))
    if backward:
        wide[:, [BOS, EOS]] = wide[:, [EOS, BOS]]
    wide[:, _NEVER] = -np.inf
    return wide


def _finite(logits: Floats) -> Floats:
    if not np.isfinite(logits).all():
        raise ValueError(
            "the model's logits are not finite numbers: its weights are broken, or its precision"
        )
    return logits


def _log_softmax(logits: Floats) -> Scores:
    """ln of the probabilities, over the last axis."""
    wide: Scores = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    wide -= np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return wide
