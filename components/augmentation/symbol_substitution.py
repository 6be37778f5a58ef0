"""Substitute letters and digits in label and ink, so that the decoder cannot memorize formulas.

Only symbols of equal height replace each other, so that they fit their place. A token is replaced wherever it
occurs in a formula.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

# What is narrow (1, i, j, l) or wide (m, w) is left out: others would not fit where it stands.
_KINDS = (
    "0 2 3 4 5 6 7 8 9",
    r"a c e n o r s u v x z \alpha \pi \sigma \epsilon \kappa \nu \omega \tau \upsilon",
    r"b d h k t \beta \theta \delta \lambda \hbar \partial",
    r"g p q y \gamma \eta \mu \rho \chi \varphi",
    r"A B C D E F G H K L M N O P Q R S T U V X Y Z \Gamma \Delta \Lambda \Theta \Sigma \Pi \Xi \Phi \Psi "
    r"\Omega \Upsilon \nabla \mathbb{C} \mathbb{E} \mathbb{F} \mathbb{N} \mathbb{P} \mathbb{Q} \mathbb{R} "
    r"\mathbb{Z}",
    r"+ \times \div \pm \mp \cup \cap \wedge \vee \oplus \otimes \odot \ominus \ast \circ",
    r"= \le \ge \ne < > \approx \equiv \sim \simeq \cong \in \notin \subset \subseteq \supset \propto "
    r"\ll \gg",
    r"\rightarrow \leftarrow \Rightarrow \mapsto \leftrightarrow \Leftrightarrow \hookrightarrow",
)
_FLATTEN = 0.8  # exponent of a token's count
_KIND = {token: kind for kind, tokens in enumerate(_KINDS) for token in tokens.split()}


class SymbolSubstitution:
    """Sample replacement tokens, frequent ones more often."""

    def __init__(self, written: Mapping[str, int]) -> None:
        """`written`: how often each token was."""
        found: dict[int, dict[str, float]] = defaultdict(dict)
        for token, count in sorted(written.items()):
            if token in _KIND:
                found[_KIND[token]][token] = count**_FLATTEN
        self._others = {
            kind: (list(counts), np.cumsum(list(counts.values())) / sum(counts.values()))
            for kind, counts in found.items()
        }

    def names(
        self, label: Sequence[str], written: Mapping[int, str], rng: np.random.Generator
    ) -> dict[str, str]:
        """New tokens for half of those in the label; `written` has of each place what its symbol is called.

        A token stays where one of its places has no symbol of its own, as the s of a sine written in one.
        """
        names: dict[str, str] = {}
        for token in dict.fromkeys(label):
            kind = _KIND.get(token)
            if kind not in self._others or rng.random() < 0.5:
                continue
            if all(written.get(place) == token for place, other in enumerate(label) if other == token):
                others, until = self._others[kind]
                names[token] = others[int(np.searchsorted(until, rng.random(), side="right"))]
        return names
