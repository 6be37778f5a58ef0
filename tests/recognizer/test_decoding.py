"""Decoding finds the most probable sequence, says its probability, and ends."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from components.latex.normalizer import normalize
from components.latex.tokenizer import detokenize
from components.latex.vocabulary import BOS, EOS, UNK, Vocabulary
from components.recognizer import decoding
from components.recognizer.decoding import DecodingConstraints, Hypothesis, Restriction, decode, greedy
from components.recognizer.engine import KVCache, Memory, Step
from tests.recognizer.engines import TableEngine

VOCABULARY = Vocabulary.build([["a", "b", "{", "}", "^"]])
A, B, OPEN, CLOSE, UP = VOCABULARY.encode(["a", "b", "{", "}", "^"])
GARDEN = {  # greedy goes by A (0.6) to 0.6 * 0.5; by B there is 0.4 * 0.9
    (): {A: 0.6, B: 0.4},
    (A,): {EOS: 0.5, A: 0.3, B: 0.2},
    (B,): {EOS: 0.9, A: 0.1},
    (A, A): {EOS: 1.0},
    (A, B): {EOS: 1.0},
    (B, A): {EOS: 1.0},
}
SURE = {(): {B: 1.0}, (B,): {EOS: 1.0}}


def search(table: list[dict], beam: int = 1, n_best: int = 1, max_tokens: int = 8) -> list[list[Hypothesis]]:
    return ask(TableEngine(table, len(VOCABULARY)), DecodingConstraints(VOCABULARY, max_tokens), beam, n_best)


def ask(
    engine: TableEngine, constraints: DecodingConstraints, beam: int, n_best: int
) -> list[list[Hypothesis]]:
    count = len(engine.table)
    pictures = np.stack([np.full((1, 2, 2), (255 - i) / 255, np.float32) for i in range(count)])
    return decode(engine, [engine.encode(pictures)], constraints, beam, n_best)


def test_one_beam_takes_the_best_token_each_time() -> None:
    [[best]] = search([GARDEN])
    assert best.ids == (A,)
    assert math.exp(best.score) == pytest.approx(0.6 * 0.5)


def test_beams_find_what_greedy_misses_and_rank_by_probability() -> None:
    [found] = search([GARDEN], beam=3, n_best=3)
    assert [h.ids for h in found] == [(B,), (A,), (A, A)]
    assert [math.exp(h.score) for h in found] == pytest.approx([0.36, 0.30, 0.18])


def test_a_wide_beam_finds_the_best_of_all_sequences() -> None:
    rng = np.random.default_rng(3)
    prefixes = [p for n in range(4) for p in itertools.product((A, B), repeat=n)]
    table = {p: dict(zip((EOS, A, B), rng.dirichlet((1, 1, 1)).tolist(), strict=True)) for p in prefixes}

    def probability(ids: tuple[int, ...]) -> float:
        steps = [(ids[:n], token) for n, token in enumerate((*ids, EOS))]
        return math.prod(table[prefix][token] for prefix, token in steps)

    [found] = search([table], beam=8, n_best=5, max_tokens=3)
    assert [h.ids for h in found] == sorted(prefixes[1:], key=probability, reverse=True)[:5]
    assert [math.exp(h.score) for h in found] == pytest.approx([probability(h.ids) for h in found], rel=1e-5)


@pytest.mark.parametrize("beam", [1, 3])
def test_tokens_that_are_given_stand_at_their_places(beam: int) -> None:
    def given(*tokens: tuple[int, int], prefix: tuple[int, ...] = ()) -> tuple[int, ...]:
        restriction = Restriction(prefix=prefix, tokens=tokens)
        constraints = DecodingConstraints(VOCABULARY, 8, bidirectional=True, restriction=restriction)
        assert constraints.backward is None
        [[best, *_]] = ask(TableEngine([GARDEN], len(VOCABULARY)), constraints, beam, 1)
        return best.ids

    assert given((0, B)) == (B,)  # 0.4 * 0.9, against 0.6 * 0.5 without it
    assert given((1, A)) == (A, A)  # 0.6 * 0.3, against 0.4 * 0.1
    assert given((1, B)) == (A, B)
    assert given((1, A), prefix=(B,)) == (B, A)
    with pytest.raises(ValueError, match="another token"):
        given((0, A), prefix=(B,))


@pytest.mark.parametrize("beam", [1, 3])
def test_pictures_decoded_together_read_as_alone(beam: int) -> None:
    tables = [SURE, GARDEN, SURE, {(): {EOS: 0.9, A: 0.1}, (A,): {EOS: 1.0}}]
    together = search(tables, beam, beam)
    assert together == [search([table], beam, beam)[0] for table in tables]


def test_greedy_is_the_search_with_one_beam() -> None:
    rng = np.random.default_rng(5)
    prefixes = [p for n in range(5) for p in itertools.product((A, B), repeat=n)]
    tables = [
        {p: dict(zip((EOS, A, B), rng.dirichlet((0.4, 1, 1)).tolist(), strict=True)) for p in prefixes}
        for _ in range(9)
    ]
    engine = TableEngine(tables, len(VOCABULARY))
    pictures = np.stack([np.full((1, 2, 2), (255 - i) / 255, np.float32) for i in range(9)])
    memory, constraint = engine.encode(pictures), DecodingConstraints(VOCABULARY, 4).forward
    found = greedy(engine, memory, constraint, 4)
    assert {len(h.ids) for h in found} >= {2, 4}, "some end sooner than others"
    wanted = [best for [best] in decoding.search(engine, memory, constraint, 4, beam=1, n_best=1)]
    assert [h.ids for h in found] == [h.ids for h in wanted]
    assert [h.score for h in found] == pytest.approx([h.score for h in wanted])


@pytest.mark.parametrize("parallel", [False, True])
def test_both_directions_may_be_searched_at_once(parallel: bool) -> None:
    forward = {(): {A: 0.6, B: 0.4}, (A,): {EOS: 1.0}, (B,): {A: 1.0}, (B, A): {EOS: 1.0}}
    backward = {(): {A: 1.0}, (A,): {B: 0.9, BOS: 0.1}, (A, B): {BOS: 1.0}}
    engine = TableEngine([forward], len(VOCABULARY), [backward])
    memory = engine.encode(np.ones((1, 1, 2, 2), np.float32))
    [[best]] = decode(
        engine, [memory], DecodingConstraints(VOCABULARY, 8, bidirectional=True), 2, 1, parallel
    )
    assert best.ids == (B, A)


def test_what_is_seen_in_any_size_is_judged_in_all() -> None:
    small = {(): {A: 0.6, B: 0.4}, (A,): {EOS: 1.0}, (B,): {EOS: 1.0}}
    large = {(): {A: 0.1, B: 0.9}, (A,): {EOS: 1.0}, (B,): {EOS: 0.3, B: 0.7}, (B, B): {EOS: 1.0}}
    engine = TableEngine([small, large], len(VOCABULARY))
    # A picture's number is in its darkest pixel: these are the memories of one picture in two sizes.
    views = [engine.encode(np.full((1, 1, 2, 2), (255 - n) / 255, np.float32)) for n in (0, 1)]
    [found] = decode(engine, views, DecodingConstraints(VOCABULARY, 8), 3, 3)
    # To the small one (B, B) is next to impossible; the large one is sure enough for both.
    assert [h.ids for h in found] == [(A,), (B,), (B, B)]
    assert [math.exp(h.score) for h in found] == pytest.approx([0.35, 0.335, 0.315], rel=1e-4)
    [[alone]] = decode(engine, views, DecodingConstraints(VOCABULARY, 8))
    assert alone.ids == (A,) and math.exp(alone.score) == pytest.approx(0.6), "one beam looks once"


def test_an_answer_is_never_longer_than_the_bound_and_has_its_honest_probability() -> None:
    endless = {(A,) * n: {A: 0.9, EOS: 0.1} for n in range(9)}
    [[best]] = search([endless], max_tokens=5)
    assert best.ids == (A,) * 5
    assert math.exp(best.score) == pytest.approx(0.9**5 * 0.1, rel=1e-5)


def test_specials_are_never_answered() -> None:
    [[best]] = search([{(): {UNK: 0.9, B: 0.1}, (B,): {EOS: 1.0}}])
    assert best.ids == (B,)
    assert math.exp(best.score) == pytest.approx(0.1, rel=1e-5)


def test_more_answers_than_beams_is_refused() -> None:
    with pytest.raises(ValueError, match="n_best is 2 and beam 1"):
        search([SURE], beam=1, n_best=2)


def test_broken_weights_are_an_error_not_an_answer() -> None:
    with pytest.raises(ValueError, match="not finite"):
        search([{(): {A: float("nan")}}])


class NoisyEngine(TableEngine):
    """Says anything, but always the same of the same tokens."""

    def __init__(self, size: int, seed: int) -> None:
        super().__init__([{}], size, [{}])
        self.seed = seed

    def step(self, tokens: np.ndarray, cache: KVCache, memory: Memory) -> Step:
        step = super().step(tokens, cache, memory)
        logits = np.empty_like(step.logits)
        for place in np.ndindex(*tokens.shape):
            written = [*cache.keys[0][place[0], 0, 0, : cache.position], *tokens[place[0], : place[1] + 1]]
            rng = np.random.default_rng([self.seed, *map(int, written)])
            logits[place] = rng.normal(0, 3, self.size)
        return Step(logits, step.keys, step.values, step.attention)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("beam", [1, 4])
def test_whatever_the_network_says_the_answer_is_latex(bidirectional: bool, beam: int) -> None:
    label = [r"\frac", r"\sqrt", r"\hat", "{", "}", "_", "^", "[", "]", "x", r"\begin{matrix}", "&"]
    vocabulary = Vocabulary.build([[*label, "\\\\", r"\end{matrix}", r"\sum", "1"]])
    constraints = DecodingConstraints(vocabulary, 30, bidirectional)
    for seed in range(12):
        [found] = ask(NoisyEngine(len(vocabulary), seed), constraints, beam, beam)
        assert found
        for hypothesis in found:
            assert 0 < len(hypothesis.ids) <= 30
            assert normalize(detokenize(vocabulary.decode(hypothesis.ids)))


def test_braces_are_closed_in_time_and_none_is_left_open() -> None:
    wanted = {(): {A: 1.0}, (A,): {UP: 1.0}, (A, UP): {EOS: 0.9, OPEN: 0.1}}
    [[best]] = search([wanted], max_tokens=5)
    assert best.ids[:3] == (A, UP, OPEN) and best.ids[-1] == CLOSE and len(best.ids) <= 5


def test_an_answer_does_not_go_round_in_circles() -> None:
    forever = {(A, B) * n + end: {following: 0.999, EOS: 0.001} for n in range(90) for end, following in
               (((), A), ((A,), B))}  # fmt: skip
    [[best]] = search([forever], max_tokens=150)
    assert len(best.ids) < 60


def test_what_one_direction_finds_the_other_judges() -> None:
    forward = {(): {A: 0.6, B: 0.4}, (A,): {EOS: 1.0}, (B,): {A: 1.0}, (B, A): {EOS: 1.0}}
    backward = {(): {A: 1.0}, (A,): {B: 0.9, BOS: 0.1}, (A, B): {BOS: 1.0}}
    constraints = DecodingConstraints(VOCABULARY, 8, bidirectional=True)
    engine = TableEngine([forward], len(VOCABULARY), [backward])
    [found] = ask(engine, constraints, beam=2, n_best=2)
    assert [h.ids for h in found] == [(B, A), (A,)]
    # The mean of ln 0.4 and ln 0.9, and of ln 0.6 and ln 0.1.
    assert [math.exp(2 * h.score) for h in found] == pytest.approx([0.36, 0.06], rel=1e-5)
