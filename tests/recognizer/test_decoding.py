"""Decoding finds the most probable sequence, says its probability, and ends."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from components.latex.vocabulary import EOS, UNK
from components.recognizer.decoding import Hypothesis, decode
from tests.recognizer.engines import TableEngine

A, B = 4, 5  # the first tokens after the specials
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
    engine = TableEngine(table, 6)
    pictures = np.stack([np.full((1, 2, 2), (255 - i) / 255, np.float32) for i in range(len(table))])
    return decode(engine, engine.encode(pictures), max_tokens, beam, n_best)


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
    assert [h.ids for h in found] == sorted(prefixes, key=probability, reverse=True)[:5]
    assert [math.exp(h.score) for h in found] == pytest.approx([probability(h.ids) for h in found], rel=1e-5)


@pytest.mark.parametrize("beam", [1, 3])
def test_pictures_decoded_together_read_as_alone(beam: int) -> None:
    tables = [SURE, GARDEN, SURE, {(): {EOS: 1.0}}]
    together = search(tables, beam, beam)
    assert together == [search([table], beam, beam)[0] for table in tables]


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
