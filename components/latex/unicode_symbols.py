r"""Mathematics in Unicode as LaTeX: `x₁² ≤ √2` → `x_{1}^{2} ≤ \sqrt{2}`, with a table for `≤` and its like.

`CHARACTERS` is the table. `expand` rewrites what takes more than a table: superscripts, subscripts, combining
accents, letters of the mathematical alphabets, fractions and roots. It decomposes characters as NFKC does,
but step by step, because NFKC alone would make `x2` of `x²`, `l` of `ℓ` and `φ` of `ϕ`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby


def _pairs(pairs: str) -> Iterator[tuple[str, str]]:
    for pair in pairs.replace("\n", " ").split(", "):
        character, latex = pair.split()
        yield character, latex


_COMMANDS = r"""
    α alpha, β beta, γ gamma, δ delta, ε epsilon, ϵ epsilon, ζ zeta, η eta, θ theta, ι iota, κ kappa,
    λ lambda, μ mu, ν nu, ξ xi, π pi, ρ rho, σ sigma, τ tau, υ upsilon, φ varphi, ϕ phi, χ chi, ψ psi,
    ω omega, ϑ vartheta, ϖ varpi, ϱ varrho, ς varsigma, ϰ varkappa, ϝ digamma, ϶ backepsilon, Γ Gamma,
    Δ Delta, Θ Theta, Λ Lambda, Ξ Xi, Π Pi, Σ Sigma, ϒ Upsilon, Υ Upsilon, Φ Phi, Ψ Psi, Ω Omega, ∆ Delta,
    ℵ aleph, א aleph, ℶ beth, ℷ gimel, ℸ daleth, ℏ hbar, ħ hbar, ℓ ell, ℘ wp, ℜ Re, ℑ Im, ı imath, ȷ jmath,
    ∂ partial, ∇ nabla, ∞ infty, ð eth, ℧ mho, ∁ complement, Ⅎ Finv, ⅁ Game,
    ∑ sum, ∏ prod, ∐ coprod, ∫ int, ∬ iint, ∭ iiint, ∮ oint, ∯ oiint, ∰ oiiint, ⋂ bigcap, ⋃ bigcup,
    ⨆ bigsqcup, ⨁ bigoplus, ⨂ bigotimes, ⨀ bigodot, ⨄ biguplus, ⋁ bigvee, ⋀ bigwedge,
    ± pm, ∓ mp, × times, ⨯ times, ⨉ times, ✕ times, ✖ times, ÷ div,
    · cdot, ⋅ cdot, ‧ cdot, ∗ ast, ⋆ star, ∘ circ, • bullet, ∙ bullet,
    ⊕ oplus, ⊖ ominus, ⊗ otimes, ⊘ oslash, ⊙ odot, † dagger, ‡ ddagger, ⨿ amalg, ∩ cap, ∪ cup, ⊎ uplus,
    ⊓ sqcap, ⊔ sqcup, ∨ vee, ∧ wedge, ◯ bigcirc, ○ bigcirc, ⋄ diamond, ◇ diamond, ⬦ diamond, ≀ wr, ⋉ ltimes,
    ⋊ rtimes, ⊞ boxplus, ⊟ boxminus, ⊠ boxtimes, ⊡ boxdot, ⊛ circledast, ⊚ circledcirc, ⊝ circleddash,
    ∔ dotplus, ⊼ barwedge, ⌆ doublebarwedge, ⊻ veebar, ◁ triangleleft, ⊲ triangleleft, ▷ triangleright,
    ⊳ triangleright, ▽ bigtriangledown, ⋒ Cap, ⋓ Cup, ⋎ curlyvee, ⋏ curlywedge, ⊺ intercal,
    ⋇ divideontimes, ⋋ leftthreetimes, ⋌ rightthreetimes, ∖ backslash, ⧵ backslash,
    ≤ le, ⩽ le, ≥ ge, ⩾ ge, ≪ ll, ≫ gg, ⋘ lll, ⋙ ggg, ≠ ne, ≡ equiv, ∼ sim, ≃ simeq, ≈ approx,
    ≊ approxeq, ≅ cong, ∝ propto, ≍ asymp, ≐ doteq, ≜ triangleq, ≺ prec, ≻ succ, ⪯ preceq, ≼ preceq,
    ⪰ succeq, ≽ succeq, ∈ in, ∊ in, ∋ ni, ∍ ni, ∉ notin, ⊂ subset, ⊃ supset, ⊆ subseteq, ⫅ subseteq,
    ⊇ supseteq, ⫆ supseteq, ⊊ subsetneq, ⫋ subsetneq, ⊋ supsetneq, ⫌ supsetneq, ⊈ nsubseteq, ⊉ nsupseteq,
    ⊏ sqsubset, ⊐ sqsupset, ⊑ sqsubseteq, ⊒ sqsupseteq, ⊥ perp, ⟂ perp, ⊢ vdash, ⊣ dashv, ⊧ models,
    ⊨ vDash, ⊩ Vdash, ⊪ Vvdash, ⋈ bowtie, ⌣ smile, ⌢ frown, ≲ lesssim, ≳ gtrsim, ≶ lessgtr, ≷ gtrless,
    ∤ nmid, ∦ nparallel, ≰ nleq, ≱ ngeq, ≮ nless, ≯ ngtr, ≇ ncong, ≁ nsim, ⊴ trianglelefteq,
    ⊵ trianglerighteq, ∴ therefore, ∵ because, ≦ leqq, ≧ geqq, ⪇ lneq, ⪈ gneq, ≨ lneqq, ≩ gneqq, ⋦ lnsim,
    ⋧ gnsim, ⋖ lessdot, ⋗ gtrdot, ⪅ lessapprox, ⪆ gtrapprox, ⋚ lesseqgtr, ⋛ gtreqless, ≾ precsim,
    ≿ succsim, ⪷ precapprox, ⪸ succapprox, ⋨ precnsim, ⋩ succnsim, ⋞ curlyeqprec, ⋟ curlyeqsucc, ⊀ nprec,
    ⊁ nsucc, ⋠ npreceq, ⋡ nsucceq, ⊬ nvdash, ⊭ nvDash, ⊮ nVdash, ⊯ nVDash, ⋪ ntriangleleft,
    ⋫ ntriangleright, ⋬ ntrianglelefteq, ⋭ ntrianglerighteq, ⋐ Subset, ⋑ Supset, ∽ backsim, ⋍ backsimeq,
    ≂ eqsim, ≏ bumpeq, ≎ Bumpeq, ≑ doteqdot, ≓ risingdotseq, ≒ fallingdotseq, ≗ circeq, ≖ eqcirc,
    ≬ between, ⋔ pitchfork,
    ← leftarrow, → rightarrow, ↔ leftrightarrow, ⇐ Leftarrow, ⇒ Rightarrow, ⇔ Leftrightarrow, ↑ uparrow,
    ↓ downarrow, ↕ updownarrow, ⇑ Uparrow, ⇓ Downarrow, ⇕ Updownarrow, ⟵ longleftarrow, ⟶ longrightarrow,
    ⟷ longleftrightarrow, ⟸ Longleftarrow, ⟹ Longrightarrow, ⟺ iff, ↦ mapsto, ⟼ longmapsto,
    ↩ hookleftarrow, ↪ hookrightarrow, ↼ leftharpoonup, ↽ leftharpoondown, ⇀ rightharpoonup,
    ⇁ rightharpoondown, ⇌ rightleftharpoons, ⇋ leftrightharpoons, ↗ nearrow, ↘ searrow, ↙ swarrow,
    ↖ nwarrow, ⇉ rightrightarrows, ⇇ leftleftarrows, ⇄ rightleftarrows, ⇆ leftrightarrows, ⤳ leadsto,
    ⇝ rightsquigarrow, ↭ leftrightsquigarrow, ↠ twoheadrightarrow, ↞ twoheadleftarrow, ↣ rightarrowtail,
    ↢ leftarrowtail, ↛ nrightarrow, ↚ nleftarrow, ⇏ nRightarrow, ⇍ nLeftarrow, ↮ nleftrightarrow,
    ⇎ nLeftrightarrow, ↾ upharpoonright, ↿ upharpoonleft, ⇂ downharpoonright, ⇃ downharpoonleft,
    ⇈ upuparrows, ⇊ downdownarrows, ↺ circlearrowleft, ↻ circlearrowright, ↶ curvearrowleft,
    ↷ curvearrowright, ↫ looparrowleft, ↬ looparrowright, ⇠ dashleftarrow, ⇢ dashrightarrow, ⇛ Rrightarrow,
    ⇚ Lleftarrow, ↰ Lsh, ↱ Rsh, ⊸ multimap,
    ⟨ langle, 〈 langle, ⟩ rangle, 〉 rangle, ⌊ lfloor, ⌋ rfloor, ⌈ lceil, ⌉ rceil,
    ⌜ ulcorner, ⌝ urcorner, ⌞ llcorner, ⌟ lrcorner, ⋮ vdots, ⋱ ddots, ∀ forall, ∃ exists, ∄ nexists, ¬ neg,
    ⊤ top, ∅ emptyset, ∠ angle, ∡ measuredangle, ∢ sphericalangle, △ triangle, ▿ triangledown,
    □ square, ◻ square, ☐ square, ■ blacksquare, ◼ blacksquare, ∎ blacksquare, ◊ lozenge, ⧫ blacklozenge,
    ★ bigstar, ▲ blacktriangle, ▴ blacktriangle, ▼ blacktriangledown, ▾ blacktriangledown,
    ◀ blacktriangleleft, ▶ blacktriangleright, ♣ clubsuit, ♢ diamondsuit, ♦ diamondsuit, ♡ heartsuit,
    ♥ heartsuit, ♠ spadesuit, ♭ flat, ♮ natural, ♯ sharp, ✓ checkmark, ╱ diagup, ╲ diagdown, § S, ¶ P,
    £ pounds, ¥ yen
"""
# Characters that are several symbols, in braces to remain one argument, or that LaTeX has no command for; and
# wide forms of LaTeX's markup: decomposed they would be markup.
_OTHERS = r"""
    ‐ -, ‑ -, ‒ -, – -, — -, ― -, − -, ∕ /, ⁄ /, ∣ |, ❘ |, ∶ :, ∷ {::}, ≔ {:=}, ≕ {=:},
    ∥ {||}, ‖ {||}, ⟦ {[[}, ⟧ {]]}, … {...}, ⋯ {\cdot\cdot\cdot}, ° ^{\circ}, ˚ ^{\circ},
    ′ ', ’ ', ʹ ', ´ ', ″ '', ‴ ''', ⁗ '''', “ ", ” ", ‘ `,
    ⊄ {\not\subset}, ⊅ {\not\supset}, ≢ {\not\equiv}, ≉ {\not\approx}, ≄ {\not\simeq}, ∌ {\not\ni},
    ≭ {\not\asymp}, ⋢ {\not\sqsubseteq}, ⋣ {\not\sqsupseteq}, ⨌ {\iint\iint},
    ｛ \{, ﹛ \{, ︷ \{, ｝ \}, ﹜ \}, ︸ \}, ＆ \&, ﹠ \&, ＄ \$, ﹩ \$, ＃ \#, ﹟ \#, ％ \%, ﹪ \%,
    ＼ \backslash, ﹨ \backslash, ～ \sim,
    ≝ {\overset{def}{=}}, ≟ {\overset{?}{=}}, ≞ {\overset{m}{=}}, ≙ {\overset{\wedge}{=}},
    Α A, Β B, Ε E, Ζ Z, Η H, Ι I, Κ K, Μ M, Ν N, Ο O, Ρ P, Τ T, Χ X, ο o
"""

# LaTeX of characters that stand for themselves, as lexemes of the normalizer's alphabet.
CHARACTERS: dict[str, str] = {
    **{character: f"\\{name}" for character, name in _pairs(_COMMANDS)},
    **dict(_pairs(_OTHERS)),
}

_MARKS = {
    "\u0300": "grave", "\u0301": "acute", "\u0302": "hat", "\u0303": "tilde", "\u0304": "overline",
    "\u0305": "overline", "\u0306": "breve", "\u0307": "dot", "\u0308": "ddot", "\u030a": "mathring",
    "\u030c": "check", "\u0331": "underline", "\u0332": "underline",
    "\u20d7": "vec", "\u20d1": "vec", "\u20d6": "overleftarrow", "\u20e1": "overleftrightarrow",
    "\u20db": "dddot",
}  # fmt: skip
_STROKES = ("\u0338", "\u0337", "\u20d2")  # through the character before: \not
_ROOTS = {"√": r"\sqrt", "∛": r"\sqrt[3]", "∜": r"\sqrt[4]"}

# Layout and direction, which are not drawn: zero-width characters, soft hyphens, variation selectors.
_FORMATS = dict.fromkeys(
    (
        *(0xAD, 0x34F, 0x61C, 0xFEFF),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),
    )
)
_PIECE = re.compile(r"\\[a-zA-Z]+\s?|\\.|.", re.DOTALL)
_BLACKBOARD = re.compile(r"(MATHEMATICAL )?DOUBLE-STRUCK (CAPITAL|SMALL|DIGIT)")
_SYNTAX = re.compile(r"[{}$&_^\s]*")  # nothing that could have an accent
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ROOT = re.compile("[√∛∜]")
_SPACE = re.compile(r"\s*")
_PARENTHESIS = re.compile("[()]")

Piece = tuple[str, str]  # "_", "^" or "" (the line), and LaTeX


def expand(text: str) -> str:
    r"""The text with scripts, accents, alphabets, fractions and roots in LaTeX: `ẋ²` → `\dot{x}^{2}`.

    Characters of the table stay for the normalizer's lexer, and so do those that are not known: it refuses
    them by name.
    """
    latex = "".join(_joined(_pieces(text.translate(_FORMATS))))
    return _roots(latex.replace("^^{", "^{").replace("__{", "_{"))  # x^² is x²


def _pieces(text: str) -> list[Piece]:
    """One piece a symbol: a command or a character with its combining marks."""
    pieces: list[Piece] = []
    for symbol in _PIECE.findall(text):
        for level, latex in _decomposed(symbol) if len(symbol) == 1 else [("", symbol)]:
            if (latex in _MARKS or latex in _STROKES) and pieces and not _SYNTAX.fullmatch(pieces[-1][1]):
                level, base = pieces.pop()
                latex = rf"\{_MARKS.get(latex, 'not')}{{{base.strip()}}}"
            pieces.append((level, latex))
    return pieces


def _decomposed(character: str) -> Iterator[Piece]:
    """The character's compatibility decomposition, down to characters that are known."""
    if character.isascii() or character in CHARACTERS or character in _MARKS or character in _ROOTS:
        yield "", character
        return
    kind, *codes = unicodedata.decomposition(character).split() or [""]
    if kind and kind[0] != "<":
        kind, codes = "", [kind, *codes]
    parts = [chr(int(code, 16)) for code in codes]
    inner = [latex for part in parts for _, latex in _decomposed(part)]
    if kind == "<super>":
        yield from (("^", latex) for latex in inner)
    elif kind == "<sub>":
        yield from (("_", latex) for latex in inner)
    elif kind == "<fraction>" and inner[-1] != "⁄":
        above, below = "".join(inner).split("⁄")
        yield "", rf"{{\frac{{{above}}}{{{below}}}}}"
    elif kind == "<font>" and _BLACKBOARD.match(unicodedata.name(character, "")) and inner[0].isascii():
        yield "", rf"\mathbb{{{inner[0]}}}"
    elif not parts or kind in ("<circle>", "<square>") or (inner[0] == " " and len(inner) > 1):
        yield "", character
    else:
        yield from (("", latex) for latex in inner)


def _joined(pieces: list[Piece]) -> Iterator[str]:
    """Runs of superscripts and of subscripts become groups; primes after a superscript join it."""
    raised = ""
    for level, run in groupby(pieces, key=lambda piece: piece[0]):
        latex = "".join(text for _, text in run)
        if level == "" and raised and (primes := len(latex) - len(latex.lstrip("'′"))):
            raised += r"\prime " * primes
            latex = latex[primes:]
        if raised:
            yield f"^{{{raised}}}"
            raised = ""
        if level == "^":
            raised = latex
        elif latex:
            yield f"_{{{latex}}}" if level else latex
    if raised:
        yield f"^{{{raised}}}"


def _roots(text: str) -> str:
    """Roots over the number, the parentheses or the one symbol that follows."""
    if not _ROOT.search(text):
        return text
    characters = list(text)
    closing = _parentheses(text)
    for match in _ROOT.finditer(text):
        at = match.start()
        command, next_at = _ROOTS[text[at]], _SPACE.match(text, at + 1).end()  # type: ignore[union-attr]
        following = text[next_at : next_at + 1]
        if number := _NUMBER.match(text, next_at):
            characters[next_at] = "{" + characters[next_at]
            characters[number.end() - 1] += "}"
        elif following == "(" and next_at in closing:
            characters[next_at], characters[closing[next_at]] = "{", "}"
        elif not (following in ("{", "\\") or following.isalpha() or following in _ROOTS):
            command = r"\surd"
        characters[at] = command + " "
    return "".join(characters)


def _parentheses(text: str) -> dict[int, int]:
    """The place of each parenthesis that opens, with that of the one that closes it."""
    opened: list[int] = []
    pairs: dict[int, int] = {}
    for match in _PARENTHESIS.finditer(text):
        if match[0] == "(":
            opened.append(match.start())
        elif opened:
            pairs[opened.pop()] = match.start()
    return pairs
