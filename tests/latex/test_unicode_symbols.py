from __future__ import annotations

import unicodedata

import pytest

from components.latex.commands import SYMBOLS
from components.latex.errors import LabelError
from components.latex.normalizer import normalize
from components.latex.unicode_symbols import CHARACTERS, expand


@pytest.mark.parametrize(
    ("label", "latex"),
    [
        # NFKC would lose the level of these
        ("x²", "x^{2}"),
        ("x₁²", "x_{1}^{2}"),
        ("x²₁", "x_{1}^{2}"),
        ("aₙ₊₁ e⁻ˣ⁺¹ Aᵀ tᵢⱼ", "a_{n+1}e^{-x+1}A^{T}t_{ij}"),
        ("x^² y_₁", "x^{2}y_{1}"),
        ("∑ᵢ₌₁ⁿ xᵢ²", r"\sum_{i=1}^{n}x_{i}^{2}"),
        ("xᵝ", r"x^{\beta}"),
        # primes
        ("f′ f″ f‴ f’", r"f^{\prime}f^{\prime\prime}f^{\prime\prime\prime}f^{\prime}"),
        ("f′² f²′", r"f^{\prime2}f^{2\prime}"),
        # alphabets
        ("𝐀𝑥𝒜𝔤𝖡𝚇𝟎𝟙", "AxAgBX01"),
        ("ℂℕ𝔸𝕫", r"\mathbb{C}\mathbb{N}\mathbb{A}\mathbb{z}"),
        ("𝜶𝛁𝜕𝜑𝜙𝜺", r"\alpha\nabla\partial\varphi\phi\epsilon"),
        ("ℓℏℜℑℵ℘ℎℯ", r"\ell\hbar\Re\Im\aleph\wp he"),
        ("ⅆx ＡＢ（ｃ）＋ ﬁ Ⅳ", "dxAB(c)+fiIV"),
        # Greek as Unicode's mathematics has it: ϕ is \phi, φ is \varphi
        ("ϕφ εϵ θϑ", r"\phi\varphi\epsilon\epsilon\theta\vartheta"),
        ("πϖ ρϱ σς κϰ", r"\pi\varpi\rho\varrho\sigma\varsigma\kappa\varkappa"),
        ("µ Ω ∆ Å Αο", r"\mu\Omega\Delta\mathring{A}Ao"),
        # operators, relations, arrows, brackets
        ("a⋅b·c×d÷e∗f∘g", r"a\cdot b\cdot c\times d\div e\ast f\circ g"),
        ("a≪b≤c⩽d≠e≢f∼g≅h", r"a\ll b\le c\le d\ne e\not\equiv f\sim g\cong h"),
        ("a⊥b ⊄ ∌ ∦ ∤ ∥ ∖", r"a\perp b\not\subset\not\ni\nparallel\nmid||\backslash"),
        ("∅ ∀x∈ℝ ∃y ⇒ ¬p ⟺ q ↦ r",
         r"\emptyset\forall x\in\mathbb{R}\exists y\Rightarrow\neg p\iff q\mapsto r"),
        ("⟨x⟩ ⌊x⌋ ‖x‖ ⟦x⟧ 〈y〉", r"\langle x\rangle\lfloor x\rfloor||x||[[x]]\langle y\rangle"),
        ("x–y−z—w", "x-y-z-w"),
        ("1,…,n a⋯b ⋮", r"1,...,na\cdot\cdot\cdot b\vdots"),
        ("90° 20℃ a≔b ≝ ∬ ⨌", r"90^{\circ}20^{\circ}Ca:=b\overset{def}{=}\iint\iint\iint"),
        # fractions and roots
        ("½ x^½ 2⅔ 1⁄2", r"\frac{1}{2}x^{\frac{1}{2}}2\frac{2}{3}1/2"),
        ("√2 √12.5x √x √α ∛8 ∜y", r"\sqrt{2}\sqrt{12.5}x\sqrt{x}\sqrt{\alpha}\sqrt[3]{8}\sqrt[4]{y}"),
        ("√(a(b+c))d √{ab} √√2 √½", r"\sqrt{a(b+c)}d\sqrt{ab}\sqrt{\sqrt{2}}\sqrt{\frac{1}{2}}"),
        ("√ +", r"\surd+"),
        # combining accents, composed or not
        ("x̂ x̄ ẋ ẍ v⃗ ñ x̌", r"\hat{x}\overline{x}\dot{x}\ddot{x}\vec{v}\tilde{n}\check{x}"),
        ("é ê α̂ \\betȧ 𝑥̂ ṡ̂", r"\acute{e}\hat{e}\hat{\alpha}\dot{\beta}\hat{x}\hat{\dot{s}}"),
        ("v⃗₁ x̂²", r"\vec{v}_{1}\hat{x}^{2}"),
        ("≠ ⊄", r"\ne\not\subset"),
        # wide forms of LaTeX's markup are signs
        ("｛x∣x＞0｝ a＆b 5％ ＃＄ a＼b x～y", r"\{x|x>0\}a\&b5\%\#\$a\backslash bx\sim y"),
        # not drawn
        ("x\u200b\u2061(y)\u00a0z\ufeff", "x(y)z"),
    ],
)  # fmt: skip
def test_mathematics_of_a_web_page_is_a_label(label: str, latex: str) -> None:
    assert normalize(label) == latex
    assert normalize(latex) == latex
    assert normalize(unicodedata.normalize("NFD", label)) == latex


@pytest.mark.parametrize("character", "я中①⎧ø")
def test_an_unknown_character_is_named(character: str) -> None:
    with pytest.raises(LabelError) as caught:
        normalize("x" + character)
    assert (caught.value.reason, caught.value.construct) == ("character", character)
    assert f"U+{ord(character):04X}, {unicodedata.name(character)}" in str(caught.value)


def test_an_accent_on_nothing_is_refused() -> None:
    for label in ("\u0302", "{x}\u0302", "x^{2}\u0302"):
        with pytest.raises(LabelError) as caught:
            normalize(label)
        assert caught.value.construct == "\u0302"


@pytest.mark.parametrize("character", CHARACTERS)
def test_every_character_of_the_table_stands_alone(character: str) -> None:
    if character in "′ʹ’´″‴⁗°˚":  # scripts
        character = "x" + character
    latex = normalize(character)
    assert latex.isascii()
    assert normalize(latex) == latex


def test_the_table_names_symbols() -> None:
    commands = {latex for latex in CHARACTERS.values() if latex[0] == "\\"}
    assert commands <= SYMBOLS
    assert not any(character.isascii() for character in CHARACTERS)


def test_latex_is_left_alone() -> None:
    assert expand(r"\frac{é}{²}") == r"\frac{\acute{e}}{^{2}}"
    assert expand(r"\alpha_{1}^{2}") == r"\alpha_{1}^{2}"
