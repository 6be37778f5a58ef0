from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.latex.commands import ACCENTS, FUNCTIONS, INVISIBLE, OPTIONAL, PAIRS, SPELLINGS, SYMBOLS
from components.latex.normalizer import LabelError, normalize, with_functions
from components.latex.tokenizer import tokenize


@pytest.mark.parametrize(
    ("label", "latex"),
    [
        # what marks mathematics, and what is not drawn
        (" $ x $\n", "x"),
        (r"\(x\)", "x"),
        ("$a+b", "a+b"),
        (r"$\left| $\frac{a}{b} \right|$", r"|\frac{a}{b}|"),
        (r"$\ $10,000 + $1,000$", "10,000+1,000"),
        (r"\$5", r"\$5"),
        (r"a\,b\;c\!d~e\quad f\ g\hspace{1em}h\kern-3pt i\phantom{x_y}", "abcdefghi"),
        (r"\mathbf x \mathrm{d}^\mathsf{T} {\rm (balance)} \text{ for all }\operatorname*{Hol}^0",
         r"xd^{T}(balance)forallHol^{0}"),
        # braces, scripts, arguments
        (r"x^2_1 x_{1}^{2} { x}_1 ^2", r"x_{1}^{2}x_{1}^{2}x_{1}^{2}"),
        (r"{a+b}{ { c } }", "a+bc"),
        (r"\frac12 \frac1x \frac ab \dfrac{1}{2}", r"\frac{1}{2}\frac{1}{x}\frac{a}{b}\frac{1}{2}"),
        (r"\sqrt2 \sqrt[3]z \sqrt[]{x} \sqrt[{]}]{x}", r"\sqrt{2}\sqrt[3]{z}\sqrt{x}\sqrt[{]}]{x}"),
        (r"x^\frac12 y_\mathrm{max} z^\ldots", r"x^{\frac{1}{2}}y_{max}z^{...}"),
        (r"{y^*}^2 {y_*}^2", r"{y^{*}}^{2}y_{*}^{2}"),
        (r"{}^{14}C T^a{}_b x_{}", r"^{14}CT^{a}{}_{b}x"),
        (r"\dot NG \bar{\rho}_i {\hat{e}}_1 \vec R", r"\dot{N}G\overline{\rho}_{i}\hat{e}_{1}\vec{R}"),
        # primes
        ("f' f''(x) G'_1 x'^2", r"f^{\prime}f^{\prime\prime}(x)G_{1}^{\prime}x^{\prime2}"),
        (r"f^{'} f^' f^\prime f^{\prime}", r"f^{\prime}f^{\prime}f^{\prime}f^{\prime}"),
        # fences, limits, sizes
        (r"\left(\frac12\right)^2 \left.x\right|_0 \Bigg[ a \Bigg] \bigl.", r"(\frac{1}{2})^{2}x|_{0}[a]"),
        (r"\left<a\middle|b\right>", r"\langle a|b\rangle"),
        (r"\int\limits_0^1 \sum\nolimits_{i}", r"\int_{0}^{1}\sum_{i}"),
        # one spelling a symbol
        (r"a \leq b \lt c \gt d \neq e \not= f \not\in g", r"a\le b<c>d\ne e\ne f\notin g"),
        (r"$M\ltN$", "M<N"),
        (r"$R_g\ltq^{-1}\ltl_0$", "R_{g}<q^{-1}<l_{0}"),
        (r"\|x\| \mid \colon \ldots \cdots", r"||x|||:...\cdot\cdot\cdot"),
        (r"\mathbb R^n \mathbb{AB} \mathbb{1}", r"\mathbb{R}^{n}\mathbb{A}\mathbb{B}1"),
        (r"\sin^2 x \lim_{x \to 0} \pmod 3", r"sin^{2}xlim_{x\rightarrow0}(mod3)"),
        ("α×β ≤ 90° − x′", r"\alpha\times\beta\le90^{\circ}-x^{\prime}"),
        # stacks
        (r"{a+1 \over b} {n \choose k}", r"\frac{a+1}{b}(\begin{matrix}n\\ k\end{matrix})"),
        (r"\binom nk {n \atop k}", r"(\begin{matrix}n\\ k\end{matrix})\begin{matrix}n\\ k\end{matrix}"),
        (r"\left[\begin{array}{cc}1&\\[2pt] 3\end{array}\right]", r"[\begin{matrix}1&\\ 3\end{matrix}]"),
        (r"\begin{pmatrix} a \\ [b] \\ \end{pmatrix}^T", r"(\begin{matrix}a\\ [b]\\ \end{matrix})^{T}"),
        (r"\begin{cases}1&x\\0\end{cases}", r"\{\begin{matrix}1&x\\ 0\end{matrix}"),
        (r"\sum_{\substack{i\\j}}", r"\sum_{\begin{matrix}i\\ j\end{matrix}}"),
        # CROHME 2014's tool writes the index of a root so
        (r"$ \sqrt {\sqrt {x} ABOVE {n}} ABOVE {m} $", r"\sqrt[m]{\sqrt[n]{x}}"),
        # a brace that LaTeX would not forgive, where it makes no difference
        (r"$ \lim \limits _ {y \rightarrow x}} f (y) $", r"lim_{y\rightarrow x}f(y)"),
    ],
)  # fmt: skip
def test_writes_alike_what_looks_alike(label: str, latex: str) -> None:
    assert normalize(label) == latex
    assert normalize(latex) == latex


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("", "empty"),
        ("$ $", "empty"),
        ("a\\", "backslash"),
        ("{x", "end stands where } is expected"),
        ("x^a+b}", "} stands where the end is expected"),  # x^{a+b}, or x^{a}+b?
        (r"\frac{a}{b", "expected"),
        (r"\frac{a}", r"\\frac lacks an argument"),
        (r"{\sqrt} 3", r"\\sqrt lacks an argument"),
        ("x^", r"\^ lacks an argument"),
        ("x^2^3", "two superscripts"),
        ("x^2'", "two superscripts"),
        ("x_1_2", "two subscripts"),
        (r"a \over b \over c", "ambiguous"),
        (r"\left( x", r"\\right is expected"),
        (r"x \right)", r"\\right stands"),
        (r"\left x", "lacks a delimiter"),
        ("a & b", "& stands where"),
        (r"\begin{matrix} a", r"\\end{matrix} is expected"),
        (r"\begin{matrix} a \end{pmatrix}", r"\\end{matrix} is expected"),
        (r"\begin{tikzpicture}\end{tikzpicture}", "unknown environment tikzpicture"),
        (r"\vtop{x}", r"unknown command \\vtop"),
        ("x é", r"unknown character 'é' \(U\+00E9\)"),
        ("\x07", r"U\+0007"),
        ("{" * 3000 + "}" * 3000, "nested more than"),
        (r"\sqrt" * 3000 + "x", "nested more than"),
        ("x^{" * 3000 + "}" * 3000, "nested more than"),
    ],
)
def test_says_why_a_label_is_no_formula(label: str, reason: str) -> None:
    with pytest.raises(LabelError, match=reason):
        normalize(label)


# Text that is LaTeX often enough to be taken, and wrong often enough to be refused.
_COMMANDS = [*sorted(ACCENTS | FUNCTIONS | OPTIONAL | PAIRS), r"\left(", r"\right)", r"\left.", r"\not"]
_CHOSEN = [r"\pi", r"\in", r"\ldots", r"\,", r"\mathbb", r"\over", r"\choose", r"\&", r"\big<", r"\|"]
_SIMPLE = st.sampled_from([*"xR1+=[].,<'$ ", *_CHOSEN])


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = inner.map(lambda text: f"{{{text}}}")
    return (
        st.lists(inner, max_size=4).map("".join)
        | group
        | st.tuples(inner, st.sampled_from("_^"), group).map("".join)
        | st.tuples(
            st.sampled_from([rf"\{name}" for name in ("frac", "hat", "sqrt", "binom")]), group, group
        ).map("".join)
        | st.tuples(st.just(r"\sqrt["), inner, st.just("]"), group).map("".join)
        | st.tuples(st.just(r"\left("), inner, st.just(r"\right]")).map("".join)
        | st.tuples(
            st.just(r"\begin{bmatrix}"),
            inner,
            st.sampled_from(["&", r"\\"]),
            inner,
            st.just(r"\end{bmatrix}"),
        ).map("".join)
    )


@given(
    st.recursive(_SIMPLE, _larger, max_leaves=12)
    | st.lists(st.sampled_from([*_COMMANDS, *"{}_^&x1 "])).map("".join)
)
@example(r"{T^{a}{}_{b}}_{c}")
def test_is_a_canonical_form(label: str) -> None:
    try:
        latex = normalize(label)
    except LabelError:
        return
    assert normalize(latex) == latex
    assert not {token for token in tokenize(latex) if token in INVISIBLE | FUNCTIONS | set(SPELLINGS)}


def test_the_tables_agree() -> None:
    known = SYMBOLS | ACCENTS | PAIRS | OPTIONAL | {r"\mathbb", r"\binom", "\\\\"}
    assert not known & (INVISIBLE | SPELLINGS.keys())
    assert {name for name in SPELLINGS.values() if name[0] == "\\"} <= known


def test_function_names_become_one_token() -> None:
    assert with_functions(tokenize(r"arcsinx+asinh\pi-lim_{n}si n")) == (
        r"\arcsin", "x", "+", "a", r"\sinh", r"\pi", "-", r"\lim", "_", "{", "n", "}", r"\sin",
    )  # fmt: skip
