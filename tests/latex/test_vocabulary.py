from __future__ import annotations

from pathlib import Path

import pytest

from components.latex.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, Vocabulary, VocabularyError

LABELS = ["x+x", "a+b", "x"]


def test_specials_come_first_then_the_tokens_sorted() -> None:
    vocabulary = Vocabulary.build(LABELS)
    assert vocabulary.tokens == (*SPECIALS, "+", "a", "b", "x")
    assert vocabulary.counts == (0, 0, 0, 0, 2, 1, 1, 3)
    assert [vocabulary.tokens[i] for i in (PAD, BOS, EOS, UNK)] == list(SPECIALS)


def test_rare_tokens_are_left_out_and_read_as_unknown() -> None:
    vocabulary = Vocabulary.build(LABELS, min_count=2)
    assert vocabulary.encode("a+x") == [UNK, 4, 5]
    assert vocabulary.unknown("a+bxa") == ("a", "b")


def test_decoding_stops_at_the_end_and_leaves_padding_out() -> None:
    vocabulary = Vocabulary.build(LABELS)
    ids = [BOS, *vocabulary.encode("a+b"), EOS, *vocabulary.encode("x"), PAD]
    assert vocabulary.decode(ids) == ("a", "+", "b")
    assert vocabulary.decode([UNK]) == ("<unk>",)


def test_a_file_gives_the_same_vocabulary_back(tmp_path: Path) -> None:
    vocabulary = Vocabulary.build([["\\alpha", "é", '"', "\\\\"]])
    vocabulary.save(tmp_path / "vocab.json")
    assert Vocabulary.load(tmp_path / "vocab.json") == vocabulary
    assert [path.name for path in tmp_path.iterdir()] == ["vocab.json"]


def test_the_version_follows_the_numbers_not_the_counts() -> None:
    assert Vocabulary.build(LABELS).version == Vocabulary.build([*LABELS, "b"]).version
    assert Vocabulary.build(LABELS).version != Vocabulary.build([*LABELS, "y"]).version


GOOD = '"<pad>", "<bos>", "<eos>", "<unk>"'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not JSON"),
        ('{"format": 99}', "format 1"),
        ('["x"]', "format 1"),
        ('{"format": 1, "tokens": [1], "counts": [1]}', "tokens"),
        ('{"format": 1, "tokens": ["x"], "counts": [1]}', "<pad>"),
        (f'{{"format": 1, "tokens": [{GOOD}, "x", "x"], "counts": [0, 0, 0, 0, 1, 1]}}', "twice"),
        (f'{{"format": 1, "tokens": [{GOOD}, "x"], "counts": [0, 0, 0, 0]}}', "4 for 5"),
        (f'{{"format": 1, "tokens": [{GOOD}], "counts": [0, 0, 0, true]}}', "counts"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "vocab.json"
    path.write_text(content)
    with pytest.raises(VocabularyError, match=reason) as error:
        Vocabulary.load(path)
    assert str(path) in str(error.value)


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="dvc repro vocab"):
        Vocabulary.load(tmp_path / "none.json")
