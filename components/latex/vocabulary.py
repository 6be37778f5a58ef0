"""The vocabulary: tokens and their numbers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from components.files import write_text

PAD, BOS, EOS, UNK = range(4)
SPECIALS = ("<pad>", "<bos>", "<eos>", "<unk>")
_FORMAT = 1


class VocabularyError(ValueError):
    """A vocabulary or its file is invalid; the message says where."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by number: the special ones first, then the others sorted.

    Raises VocabularyError where the tokens are not like that.
    """

    tokens: tuple[str, ...]
    counts: tuple[int, ...]  # frequency in the training split; 0 for the special tokens

    def __post_init__(self) -> None:
        known = self.tokens[len(SPECIALS) :]
        if self.tokens[: len(SPECIALS)] != SPECIALS:
            raise VocabularyError(f"tokens: the first must be {', '.join(SPECIALS)}")
        if list(known) != sorted(set(known)):
            raise VocabularyError("tokens: not sorted, or one stands there twice")
        if len(self.counts) != len(self.tokens):
            raise VocabularyError(f"counts: {len(self.counts)} for {len(self.tokens)} tokens")

    @classmethod
    def build(cls, token_lists: Iterable[Sequence[str]], min_count: int = 1) -> Vocabulary:
        """Build the vocabulary of a training split from tokens that occur at least `min_count` times."""
        counts = Counter(token for tokens in token_lists for token in tokens)
        kept = sorted(token for token, count in counts.items() if count >= min_count)
        return cls((*SPECIALS, *kept), (0,) * len(SPECIALS) + tuple(counts[token] for token in kept))

    @classmethod
    def load(cls, path: Path) -> Vocabulary:
        """Read a file of `save`. Raises VocabularyError that names the file."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise VocabularyError(f"{path}: {error.strerror}; `dvc repro vocab` makes it") from None
        except ValueError as error:
            raise VocabularyError(f"{path}: not JSON: {error}") from None
        try:
            return cls.parse(content)
        except VocabularyError as error:
            raise VocabularyError(f"{path}: {error}") from None

    @classmethod
    def parse(cls, content: object) -> Vocabulary:
        """Parse a file's JSON content. Raises VocabularyError."""
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise VocabularyError(f'not a vocabulary of format {_FORMAT} (`"format": {_FORMAT}`)')
        tokens, counts = content.get("tokens"), content.get("counts")
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise VocabularyError("tokens: not a list of strings")
        if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
            raise VocabularyError("counts: not a list of whole numbers")
        return cls(tuple(tokens), tuple(counts))

    def save(self, path: Path) -> None:
        """Write JSON atomically."""
        content = {"format": _FORMAT, "tokens": self.tokens, "counts": self.counts}
        write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", path)

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Numbers of tokens; UNK for unknown ones. Adds no BOS or EOS."""
        return [self._numbers.get(token, UNK) for token in tokens]

    def decode(self, ids: Iterable[int]) -> tuple[str, ...]:
        """Tokens up to the first EOS, without PAD and BOS. Raises IndexError for an unknown number."""
        tokens: list[str] = []
        for number in ids:
            if number == EOS:
                break
            if number not in (PAD, BOS):
                tokens.append(self.tokens[number])
        return tuple(tokens)

    def unknown(self, tokens: Iterable[str]) -> tuple[str, ...]:
        """Distinct tokens that the vocabulary lacks, in order of first occurrence."""
        return tuple(dict.fromkeys(token for token in tokens if token not in self._numbers))

    @property
    def version(self) -> str:
        """Hash of the tokens' numbering."""
        return hashlib.sha256("\n".join(self.tokens).encode()).hexdigest()[:12]

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}
