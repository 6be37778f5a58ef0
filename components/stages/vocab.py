"""Stage `vocab`: build the vocabulary of the training split, and its coverage of valid and test."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq

from components.config import ParamsError, load_params
from components.data.shards import SPLITS, shard_paths
from components.files import atomic_write
from components.latex.vocabulary import SPECIALS, Vocabulary

SHARDS, SYNTHETIC = Path("data/shards"), Path("data/synthetic")
VOCAB, REPORT = Path("data/vocab.json"), Path("reports/vocab.json")


@dataclass(frozen=True)
class Coverage:
    """Coverage of a split by a vocabulary; shares are fractions."""

    labels: int
    labels_covered: float  # labels of known tokens only: an upper bound of ExpRate
    tokens: int
    tokens_covered: float
    unknown: list[tuple[str, int]]  # unknown tokens with their frequency, the most frequent first


def coverage(vocabulary: Vocabulary, labels: Iterable[Sequence[str]]) -> Coverage:
    """Measure how many tokens and labels `vocabulary` covers; 0 without labels."""
    count = covered = tokens = 0
    unknown: Counter[str] = Counter()
    for label in labels:
        missing = set(vocabulary.unknown(label))
        count, tokens, covered = count + 1, tokens + len(label), covered + (not missing)
        unknown.update(token for token in label if token in missing)
    return Coverage(
        count,
        covered / max(count, 1),
        tokens,
        1 - unknown.total() / tokens if tokens else 0.0,
        unknown.most_common(),
    )


def make_vocabulary(
    shards: Path,
    min_count: int,
    vocab: Path,
    report: Path,
    synthetic: Path | None = None,
    splits: Sequence[str] = SPLITS,
) -> dict[str, Coverage]:
    """Writes the vocabulary of the shards' training split, and of `synthetic` formulas where training has
    some, and what it covers of each split.

    Raises FileNotFoundError where a split has no shards, ValueError where no token is left.
    """
    more = _labels(synthetic) if synthetic is not None else ()
    vocabulary = Vocabulary.build(chain(_labels(shards / "train"), more), min_count)
    if len(vocabulary) == len(SPECIALS):
        raise ValueError(f"{shards / 'train'}: no token occurs {min_count} times; lower vocab.min_count")
    covered = {split: coverage(vocabulary, _labels(shards / split)) for split in splits}
    counts = list(zip(vocabulary.tokens, vocabulary.counts, strict=True))[len(SPECIALS) :]
    content = {
        "size": len(vocabulary),
        "version": vocabulary.version,
        **{split: asdict(part) for split, part in covered.items()},
        "counts": sorted(counts, key=lambda pair: -pair[1]),
    }
    with atomic_write(report) as beside:
        beside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    vocabulary.save(vocab)
    return covered


def _labels(split: Path) -> Iterator[list[str]]:
    """The tokens of all labels of a split, one shard in memory at a time."""
    for path in shard_paths(split):
        yield from pq.read_table(path, columns=["tokens"])["tokens"].to_pylist()


def main() -> None:
    """Run the stage with params.yaml."""
    try:
        params = load_params()
        synthetic = SYNTHETIC if params.synthesize.count else None
        covered = make_vocabulary(SHARDS, params.vocab.min_count, VOCAB, REPORT, synthetic)
    except (ParamsError, ValueError, OSError) as error:
        sys.exit(f"vocab: {error}")
    for split, part in covered.items():
        unknown = ", ".join(f"{token} ({count})" for token, count in part.unknown[:10])
        lacking = f"; lacks {unknown}" if unknown else ""
        print(f"{split}: {part.labels_covered:.1%} of {part.labels} labels covered{lacking}")
    print(f"{VOCAB}: {len(Vocabulary.load(VOCAB))} tokens. Frequencies: {REPORT}")


if __name__ == "__main__":
    main()
