"""Beam search with a key-value cache, all pictures and beams in one step.

The search maximizes the probability of the whole token sequence including its end, without length bonus.
Tokens that would break LaTeX (`latex.constraints`) are masked; the others keep the model's probabilities. One
beam is greedy decoding. A bidirectional model searches in both directions and re-scores each result in the
other; the mean decides: BTTR (Zhao et al. 2021). With several scales of a picture each is searched, all
results are scored in all of them, and the mean of the probabilities decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from components.latex.constraints import GivenTokens, LatexConstraint
from components.latex.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from components.recognizer.engine import Engine, Floats, KVCache, Memory

Scores = npt.NDArray[np.float64]  # natural logarithms of probabilities
Ids = npt.NDArray[np.int64]

_CandidateScores = dict[
    tuple[int, ...], list[float | None]
]  # by sequence: its score in each view and direction, None if not found there

_NEVER = (PAD, BOS, UNK)  # never part of a result
_PRUNE_NATS = 8.0  # hypotheses so much less probable than the best are pruned
_SHRINK = 0.75  # finished rows are dropped once fewer than this share is open: dropping copies the others


@dataclass(frozen=True)
class Hypothesis:
    """A complete token sequence."""

    ids: tuple[int, ...]  # without <bos> and <eos>, from left to right
    score: float  # ln of its probability including its end; the mean of both directions


class TokenConstraint(Protocol):
    """Which tokens may follow, by states that the search carries along."""

    start: Any

    def allowed(self, state: Any, budget: int) -> npt.NDArray[np.bool_]: ...

    def advance(self, state: Any, token: int) -> Any: ...

    def mask_repetition(self, mask: npt.NDArray[np.bool_], ids: Sequence[int]) -> npt.NDArray[np.bool_]: ...


@dataclass(frozen=True)
class Restriction:
    """What a caller knows about the formula."""

    prefix: tuple[int, ...] = ()  # it begins with these tokens
    tokens: tuple[tuple[int, int], ...] = ()  # places from 0, and the tokens there
    usable: frozenset[int] | None = None  # it has these tokens only; None: any


UNRESTRICTED = Restriction()


class DecodingConstraints:
    """Constraints on results: LaTeX in both directions, the maximum length, and what a caller knows."""

    forward: TokenConstraint
    backward: TokenConstraint | None

    def __init__(
        self,
        vocabulary: Vocabulary,
        max_tokens: int,
        bidirectional: bool = False,
        restriction: Restriction = UNRESTRICTED,
    ) -> None:
        """Given tokens leave only the search from left to right: from the other end places are not known.

        Raises ValueError where no formula meets the restriction.
        """
        self.max_tokens, self.bidirectional = max_tokens, bidirectional
        usable, prefix = restriction.usable, restriction.prefix
        latex = LatexConstraint(vocabulary, usable=usable)
        if len(prefix) >= max_tokens:
            raise ValueError(
                f"the prefix has {len(prefix)} tokens: at most {max_tokens - 1} leave room for more"
            )
        given = dict(enumerate(prefix))
        for place, token in restriction.tokens:
            if given.setdefault(place, token) != token:
                raise ValueError(f"the prefix has another token at place {place}")
        self.forward = GivenTokens(latex, given, max_tokens) if given else latex
        both = bidirectional and not given
        self.backward = LatexConstraint(vocabulary, backward=True, usable=usable) if both else None


def decode(
    engine: Engine,
    views: Sequence[Memory],
    constraints: DecodingConstraints,
    beam: int = 1,
    n_best: int = 1,
    parallel: bool = False,
) -> list[list[Hypothesis]]:
    """Find up to `n_best` sequences for each of P pictures, the best first.

    `views` are memories of the same P pictures at one or more scales; greedy decoding uses the first alone.
    Every sequence is a formula of at most `constraints.max_tokens` tokens. All views are searched in the same
    steps; with `parallel`, both directions at the same time in two threads. Raises ValueError unless
    1 <= `n_best` <= `beam`.
    """
    if not 1 <= n_best <= beam:
        raise ValueError(f"n_best is {n_best} and beam {beam}: expected 1 <= n_best <= beam")
    if beam == 1:
        return [[found] for found in greedy(engine, views[0], constraints.forward, constraints.max_tokens)]
    ways = [constraints.forward, constraints.backward] if constraints.backward else [constraints.forward]
    memory, pictures = Memory.concatenate(views), len(views[0].cells)

    def write(constraint: TokenConstraint) -> list[list[Hypothesis]]:
        return search(
            engine, memory, constraint, constraints.max_tokens, beam, beam, constraint is constraints.backward
        )

    if parallel and len(ways) > 1:
        with ThreadPoolExecutor(2) as both:
            written = list(both.map(write, ways))
    else:
        written = list(map(write, ways))
    begins = range(0, len(memory.cells), pictures)
    found = [hypotheses[begin : begin + pictures] for begin in begins for hypotheses in written]
    best = rescore(engine, memory, found, beam) if len(found) > 1 else found[0]
    return [hypotheses[:n_best] for hypotheses in best]


def greedy(engine: Engine, memory: Memory, constraint: TokenConstraint, max_tokens: int) -> list[Hypothesis]:
    """Greedy decoding from left to right: `search` with one beam, without its sorting."""
    pictures = len(memory.cells)
    running = list(range(pictures))
    cache = KVCache.empty(memory, beams=1)
    states = [constraint.start] * pictures
    written: list[list[int]] = [[] for _ in range(pictures)]
    scores = [0.0] * pictures
    for position in range(max_tokens + 1):
        last = np.array([[(written[picture] or [BOS])[-1]] for picture in running], np.int64)
        step = engine.step(last, cache, memory)
        cache.append(step)
        steps = _log_softmax(_finite(step.logits[:, 0]))
        ended = np.zeros(len(running), bool)
        for row, picture in enumerate(running):
            ids = written[picture]
            if ids and ids[-1] == EOS:  # finished, but not yet dropped
                ended[row] = True
                continue
            mask = constraint.mask_repetition(constraint.allowed(states[picture], max_tokens - position), ids)
            token = int(np.where(mask, steps[row], -np.inf).argmax())
            scores[picture] += float(steps[row, token])
            ids.append(token)
            if token == EOS:
                ended[row] = True
            else:
                states[picture] = constraint.advance(states[picture], token)
        if ended.all():
            break
        if 1 - ended.mean() < _SHRINK:
            kept = np.flatnonzero(~ended)
            running = [running[row] for row in kept]
            cache.select(kept)
            memory = memory.select(kept)
    return [Hypothesis(tuple(ids[:-1]), score) for ids, score in zip(written, scores, strict=True)]


def search(
    engine: Engine,
    memory: Memory,
    constraint: TokenConstraint,
    max_tokens: int,
    beam: int,
    n_best: int,
    backward: bool = False,
) -> list[list[Hypothesis]]:
    """Beam search in one direction; the most probable sequences of each picture, the best first."""
    pictures = len(memory.cells)
    found: list[list[Hypothesis]] = [[] for _ in range(pictures)]
    running = np.arange(pictures)  # the pictures of the rows: `beam` neighbouring rows each
    cache = KVCache.empty(memory, beam)
    tokens = np.full((pictures, beam, 1), EOS if backward else BOS, np.int64)  # grows along its last axis
    states = np.empty((pictures, beam), object)
    states.fill(constraint.start)
    # At first all beams of a picture are equal: only one counts.
    scores = np.where(np.arange(beam) == 0, 0.0, -np.inf) * np.ones((pictures, 1))

    for position in range(max_tokens + 1):
        step = engine.step(tokens[:, :, -1].reshape(-1, 1), cache, memory)
        cache.append(step)
        steps = _log_probabilities(step.logits[:, 0], backward).reshape(len(running), beam, -1)
        _forbid(steps, scores, states, tokens, constraint, max_tokens - position)
        choice = _best(scores[:, :, None] + steps, beam)
        _collect(found, running, choice, tokens, n_best, backward)
        scores = _pruned(choice.score, [found[picture] for picture in running], n_best)
        open_ = np.isfinite(scores).any(axis=1)
        if not open_.any():
            break
        # Finished rows are dropped, but not one by one: dropping copies the memory of the others.
        kept = open_ if open_.mean() < _SHRINK else np.ones_like(open_)
        parents = choice.beam[kept]
        rows = np.flatnonzero(kept)[:, None] * beam + parents
        states = _advanced(constraint, states.ravel()[rows], choice.token[kept], scores[kept])
        tokens = np.concatenate([tokens.reshape(-1, position + 1)[rows], choice.token[kept, :, None]], axis=2)
        scores, running = scores[kept], running[kept]
        cache.select(rows.ravel())
        if not kept.all():
            memory = memory.select(np.flatnonzero(kept))
    return found


def _collect(
    found: list[list[Hypothesis]], running: Ids, choice: _Choice, tokens: Ids, n_best: int, backward: bool
) -> None:
    """Add the hypotheses that end here to the best of their picture."""
    for row, picture in enumerate(running):
        for at in np.flatnonzero(choice.ended[row]):
            ids = tokens[row, choice.ended_beam[row, at], 1:].tolist()
            score = float(choice.ended_score[row, at])
            found[picture].append(Hypothesis(tuple(ids[::-1] if backward else ids), score))
        found[picture] = sorted(found[picture], key=lambda h: -h.score)[:n_best]


def _pruned(scores: Scores, found: Sequence[Sequence[Hypothesis]], n_best: int) -> Scores:
    """Set the scores of beams that can no longer be among the best to minus infinity."""
    for row, best in enumerate(found):
        if best:
            # Probabilities only shrink: a beam that is behind stays behind.
            bar = max(best[0].score - _PRUNE_NATS, best[-1].score if len(best) == n_best else -np.inf)
            scores[row, scores[row] <= bar] = -np.inf
    return scores


def rescore(
    engine: Engine, memory: Memory, found: Sequence[Sequence[Sequence[Hypothesis]]], most: int
) -> list[list[Hypothesis]]:
    """Score the best hypotheses of each picture in all views and directions; the best first, at most `most`.

    `memory` has all pictures of the first view, then of the next; `found` has the hypotheses of each
    direction of the first view, then of the next. A score is the mean of both directions; over several views
    it is ln of the mean probability: what one view is sure of counts for more than what both half support.
    """
    views = len(memory.cells) // len(found[0])
    ways = len(found) // views
    known: list[_CandidateScores] = [{} for _ in found[0]]
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
        sorted(
            (Hypothesis(ids, _mean_log_probability(s, ways)) for ids, s in c.items()), key=lambda h: -h.score
        )
        for c in known
    ]


def _promising(candidates: _CandidateScores, most: int) -> _CandidateScores:
    def best(item: tuple[tuple[int, ...], list[float | None]]) -> float:
        return max(score for score in item[1] if score is not None)

    return dict(sorted(candidates.items(), key=best, reverse=True)[:most])


def _mean_log_probability(scores: Sequence[float | None], ways: int) -> float:
    looks = np.array(scores, np.float64).reshape(-1, ways).mean(axis=1)
    return float(np.logaddexp.reduce(looks) - np.log(len(looks)))


def sequence_scores(
    engine: Engine, memory: Memory, asked: Sequence[Sequence[tuple[tuple[int, ...], int]]]
) -> list[list[float]]:
    """ln p of given sequences of each picture, left to right (0) or right to left (1), in one step."""
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
    step = engine.step(flat[:, :-1].copy(), KVCache.empty(memory, most, capacity=0), memory)
    next_ = np.take_along_axis(_log_softmax(step.logits), flat[:, 1:, None], axis=2)[:, :, 0]
    totals = np.where(flat[:, 1:] == PAD, 0.0, next_).sum(axis=1).reshape(len(asked), most)
    return [row[: len(wanted)].tolist() for row, wanted in zip(totals, asked, strict=True)]


def _forbid(
    steps: Scores,
    scores: Scores,
    states: npt.NDArray[np.object_],
    tokens: Ids,
    constraint: TokenConstraint,
    budget: int,
) -> None:
    """Mask tokens that would break LaTeX, exceed the length, or repeat a cycle."""
    for row, beam in zip(*np.nonzero(np.isfinite(scores)), strict=True):
        mask = constraint.allowed(states[row, beam], budget)
        mask = constraint.mask_repetition(mask, tokens[row, beam, 1:].tolist())
        steps[row, beam, ~mask] = -np.inf


def _advanced(
    constraint: TokenConstraint, states: npt.NDArray[np.object_], tokens: Ids, scores: Scores
) -> npt.NDArray[np.object_]:
    result = np.empty_like(states)
    for place in np.ndindex(*states.shape):
        state: Any = states[place]
        result[place] = constraint.advance(state, int(tokens[place])) if np.isfinite(scores[place]) else state
    return result


@dataclass(frozen=True, eq=False)
class _Choice:
    """Continuations of each picture's beams, the best first, and those that end; all (pictures, beam)."""

    beam: Ids
    token: Ids
    score: Scores
    ended: npt.NDArray[np.bool_]
    ended_beam: Ids
    ended_score: Scores


def _best(scores: Scores, beam: int) -> _Choice:
    """Choose among the scores (pictures, beam, V) of all continuations."""
    pictures, _, size = scores.shape
    row = np.arange(pictures)[:, None]
    flat = scores.reshape(pictures, -1)
    # At most `beam` of the best 2 * beam are ends, so that `beam` open ones are left.
    count = min(2 * beam, flat.shape[1])
    top = np.argpartition(-flat, count - 1, axis=1)[:, :count]
    # Ties are broken by index: the result must not depend on how numpy partitions.
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
