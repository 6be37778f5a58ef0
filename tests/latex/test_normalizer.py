from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.latex.commands import (
    ACCENTS,
    ENCLOSING,
    FUNCTIONS,
    INFIX,
    INVISIBLE,
    NEGATED,
    OPTIONAL,
    PAIRS,
    ROW_COMMANDS,
    SPELLINGS,
    STRETCHED,
    SYMBOLS,
    UNREAD,
)
from components.latex.normalizer import MAX_DEPTH, LabelError, normalize, with_functions
from components.latex.tokenizer import tokenize

CONVENTIONS: list[tuple[str, str]] = [
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
]  # fmt: skip


@pytest.mark.parametrize(("label", "latex"), CONVENTIONS)
def test_writes_alike_what_looks_alike(label: str, latex: str) -> None:
    assert normalize(label) == latex
    assert normalize(latex) == latex


AUTHORS: list[tuple[str, str]] = [
        # options and stars are no part of the formula
        (r"\begin{aligned}[t]a&=b\\c&=d\end{aligned}", r"\begin{matrix}a&=b\\ c&=d\end{matrix}"),
        (r"\begin{gathered} [b] x\\y\end{gathered}", r"\begin{matrix}x\\ y\end{matrix}"),
        (r"\begin{pmatrix*}[r]a&b\end{pmatrix*}", r"(\begin{matrix}a&b\end{matrix})"),
        (r"\begin{pmatrix}[r]a\end{pmatrix}", r"(\begin{matrix}[r]a\end{matrix})"),  # has no option
        (r"\begin{array}[t]{@{}c|c@{\,}}a&b\\ \hline c&d\end{array}",
         r"\begin{matrix}a&b\\ c&d\end{matrix}"),
        (r"\begin{alignat*}{2}a&=b\end{alignat*}", r"\begin{matrix}a&=b\end{matrix}"),
        (r"\begin{IEEEeqnarray*}{rCl}a&=&b\end{IEEEeqnarray*}", r"\begin{matrix}a&=&b\end{matrix}"),
        (r"\begin{subarray}{c}i\\j\end{subarray}", r"\begin{matrix}i\\ j\end{matrix}"),
        (r"\cfrac[l]{1}{2}\smash[b]{x}\stackrel[b]{a}{=}",
         r"\frac{1}{2}x\underset{b}{\overset{a}{=}}"),
        # one line is what is in it
        (r"\begin{equation*}a=b\end{equation*}", "a=b"),
        (r"\begin{aligned}a\\\end{aligned}", "a"),
        (r"\sum_{\substack{i}}", r"\sum_{i}"),
        (r"\begin{gather}a\\b\end{gather}", r"\begin{matrix}a\\ b\end{matrix}"),
        (r"\begin{multline}a\\b\end{multline}", r"\begin{matrix}a\\ b\end{matrix}"),
        (r"\begin{eqnarray}a&=&b\\&=&c\\\end{eqnarray}",
         r"\begin{matrix}a&=&b\\ &=&c\end{matrix}"),
        (r"\begin{align}a&=b\\\text{so }c&=d\end{align}", r"\begin{matrix}a&=b\\ soc&=d\end{matrix}"),
        # brackets of environments
        (r"\begin{dcases}1&x\\2\end{dcases}", r"\{\begin{matrix}1&x\\ 2\end{matrix}"),
        (r"\begin{rcases}1\\2\end{rcases}", r"\begin{matrix}1\\ 2\end{matrix}\}"),
        (r"\begin{bsmallmatrix}a\\b\end{bsmallmatrix}", r"[\begin{matrix}a\\ b\end{matrix}]"),
        # the end of the last row is nothing, but in MathWriting's matrices
        (r"a=b\\", "a=b"),
        (r"{a\\}^2\left(b\\\right)", "a^{2}(b)"),
        (r"\begin{array}{c}a\\b\\\end{array}", r"\begin{matrix}a\\ b\end{matrix}"),
        (r"\begin{cases}a\\b\\\end{cases}", r"\{\begin{matrix}a\\ b\end{matrix}"),
        (r"\begin{bmatrix}a\\b\\\end{bmatrix}", r"[\begin{matrix}a\\ b\\ \end{matrix}]"),
        (r"\begin{aligned}a\\*b\\*[2pt]c\\[1ex]d\end{aligned}",
         r"\begin{matrix}a\\ b\\ c\\ d\end{matrix}"),
        # plain TeX
        (r"\matrix{a&b\cr c&d\cr}", r"\begin{matrix}a&b\\ c&d\end{matrix}"),
        (r"\pmatrix{a&b\cr c&d\cr}", r"(\begin{matrix}a&b\\ c&d\end{matrix})"),
        (r"\cases{1&x\cr 2&y}\eqalign{a&=b\cr}",
         r"\{\begin{matrix}1&x\\ 2&y\end{matrix}\begin{matrix}a&=b\end{matrix}"),
        (r"{a\brace b}{a\brack b}",
         r"\{\begin{matrix}a\\ b\end{matrix}\}[\begin{matrix}a\\ b\end{matrix}]"),
        (r"{a\overwithdelims[]b}{a\atopwithdelims()b}", r"[\frac{a}{b}](\begin{matrix}a\\ b\end{matrix})"),
        (r"\genfrac(){0pt}{1}{n}{k}\genfrac{}{}{}{}ab", r"(\begin{matrix}n\\ k\end{matrix})\frac{a}{b}"),
        (r"\root n\of{x} \buildrel a\over= x\sp2\sb1", r"\sqrt[n]{x}\overset{a}{=}x_{1}^{2}"),
        (r"\sfrac{1}{2}\ddddot{x}\sideset{_a}{'}\sum_n\prescript{14}{6}{C}",
         r"1/2\overset{....}{x}_{a}\sum_{n}^{\prime}{}_{6}^{14}C"),
        # drawn by stretching a sign
        (r"\xmapsto[b]{a}\xrightarrow[b]{a}\xlongequal{}",
         r"\underset{b}{\overset{a}{\mapsto}}\xrightarrow[b]{a}="),
        (r"\underrightarrow{AB}", r"\underset{\rightarrow}{AB}"),
        # between signs
        (r"\bra{x}\ket{y}\abs{x}\norm*{x}\pod{3}\set{x}", r"\langle x||y\rangle|x|||x||(3)\{x\}"),
        # colours, boxes, labels, comments, sizes and struts are not drawn
        (r"\boxed{x=1}\fbox{$y$}", "x=1y"),
        (r"\textcolor{red}{x}^2{\color[rgb]{1,0,0}y}\colorbox{#ff0000}{z}", "x^{2}yz"),
        (r"x^\textcolor{red}{2}", "x^{2}"),
        (r"a\label{eq:x_1_2}\tag*{$*$}\nonumber\notag", "a"),
        (r"x^{a}\hspace{1pt}_{b}", r"x^{a}{}_{b}"),
        ("a+b % note\n+c", "a+b+c"),
        (r"50% \%", r"50\%\%"),
        (r"\rule{0pt}{2em}x\vrule width 0pt height 3ex\vphantom{y}\raisebox{1ex}[2ex]{z}", "xz"),
        (r"\kern.5em a\hskip 1em plus 2em minus 1fil b\raise 1ex\hbox to 3cm{c}", "abc"),
        (r"\multicolumn{2}{c}{x}\hdotsfor{3}", "x..."),
        # names that authors define, and Wikipedia's
        (r"\sgn x+\tg x+\arcsinh x+\varlimsup_n", r"sgnx+tgx+arcsinhx+\overline{lim}_{n}"),
        (r"\R^2\isin\reals\Alpha\infin", r"\mathbb{R}^{2}\in\mathbb{R}A\infty"),
        (r"\'e\"{o}\v c", r"\acute{e}\ddot{o}\check{c}"),
        # entities of HTML
        ("a&lt;b x&#8722;1&#x2264;2", r"a<bx-1\le2"),
        # braces that some converters write
        (r"{{\mathbb}{R}}^2{\left(}x{\right)}", r"\mathbb{R}^{2}(x)"),
]  # fmt: skip
LABELS = [label for label, _ in CONVENTIONS + AUTHORS]


@pytest.mark.parametrize(("label", "latex"), AUTHORS)
def test_reads_what_authors_write(label: str, latex: str) -> None:
    assert normalize(label) == latex
    assert normalize(latex) == latex


@pytest.mark.parametrize(
    ("relation", "negation"),
    [
        ("=", r"\ne"), ("<", r"\nless"), (">", r"\ngtr"), (r"\leq", r"\nleq"), (r"\ge", r"\ngeq"),
        (r"\in", r"\notin"), (r"\exists", r"\nexists"), (r"\mid", r"\nmid"), ("|", r"\nmid"),
        (r"\parallel", r"\nparallel"), (r"\|", r"\nparallel"), (r"\sim", r"\nsim"), (r"\cong", r"\ncong"),
        (r"\subseteq", r"\nsubseteq"), (r"\supseteq", r"\nsupseteq"), (r"\prec", r"\nprec"),
        (r"\vdash", r"\nvdash"), (r"\models", r"\nvDash"), (r"\to", r"\nrightarrow"),
        (r"\Rightarrow", r"\nRightarrow"), (r"\trianglelefteq", r"\ntrianglelefteq"),
        # LaTeX has no command for these
        (r"\subset", r"\not\subset"), (r"\equiv", r"\not\equiv"), (r"\approx", r"\not\approx"),
        (r"\ni", r"\not\ni"), (r"\perp", r"\not\perp"),
    ],
)  # fmt: skip
def test_a_negated_relation_has_one_spelling(relation: str, negation: str) -> None:
    for label in (rf"\not{relation}", rf"\not {relation}", rf"\not{{{relation}}}", rf"\centernot {relation}"):
        assert normalize(label) == negation
    assert normalize(negation) == negation
    assert normalize(rf"a\not{relation} b").startswith("a" + negation)


def test_packages_negations_are_spelt_alike() -> None:
    assert normalize(r"\nsubset\nequiv\notni\nleqslant\nsubseteqq\nshortmid") == (
        r"\not\subset\not\equiv\not\ni\nleq\nsubseteq\nmid"
    )


@pytest.mark.parametrize(
    ("label", "reason", "construct"),
    [
        ("", "empty", ""),
        ("$ $", "empty", ""),
        (r"\color{red}", "empty", ""),
        ("a\\", "backslash", ""),
        ("{x", "braces", "}"),
        ("x^a+b}", "braces", "}"),  # x^{a+b}, or x^{a}+b?
        (r"\frac{a}{b", "braces", "}"),
        (r"\label{x", "braces", r"\label"),
        (r"\frac{a}", "argument", r"\frac"),
        (r"{\sqrt} 3", "argument", r"\sqrt"),
        ("x^", "argument", "^"),
        (r"\textcolor", "argument", r"\textcolor"),
        (r"\substack x", "argument", r"\substack"),
        ("x^2^3", "scripts", "^"),
        ("x^2'", "scripts", "^"),
        ("x_1_2", "scripts", "_"),
        (r"a \over b \over c", "ambiguous", r"\over"),
        (r"\left( x", "braces", r"\right"),
        (r"x \right)", "braces", r"\right"),
        (r"\left x", "delimiter", r"\left"),
        (r"\left( x \right", "delimiter", r"\right"),
        ("a & b", "rows", "&"),
        (r"a \\ b", "rows", "\\\\"),
        (r"\begin{matrix} a", "braces", r"\end{matrix}"),
        (r"\begin{matrix} a \end{pmatrix}", "braces", r"\end{pmatrix}"),
        (r"\begin{tikzpicture}\end{tikzpicture}", "environment", "tikzpicture"),
        (r"\begin{foo}x\end{foo}", "environment", "foo"),
        (r"\vtop{x}", "command", r"\vtop"),
        (r"\foo{x}", "command", r"\foo"),
        (r"\newcommand{\x}{y}", "command", r"\newcommand"),
        (r"\cancel{x}", "command", r"\cancel"),
        (r"\rule{1em}{1em}", "command", r"\rule"),
        ("x я", "character", "я"),
        ("①", "character", "①"),
        ("\x07", "character", "\x07"),
        ("{" * 3000 + "}" * 3000, "depth", ""),
        (r"\sqrt" * 1500 + "x", "depth", ""),
        ("x^{" * 2000 + "}" * 2000, "depth", ""),
        ("x" * 10_001, "length", ""),
        ("½" * 5000, "length", ""),
    ],
)
def test_says_why_a_label_is_no_formula(label: str, reason: str, construct: str) -> None:
    with pytest.raises(LabelError) as caught:
        normalize(label)
    assert (caught.value.reason, caught.value.construct) == (reason, construct)
    assert construct in str(caught.value) or not construct.isprintable()


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


_JUNK = [
    *sorted(set(UNREAD) | set(ENCLOSING) | set(ROW_COMMANDS) | set(INFIX) | set(STRETCHED))[::7],
    *(rf"\{edge}{{{name}}}" for name in ("array", "aligned", "cases") for edge in ("begin", "end")),
    r"\begin{pmatrix*}", r"\not", r"\kern", "1pt", "plus", r"\rule", r"\genfrac", r"\sideset", r"\root",
    r"\of", r"\buildrel", r"\text", *"²₁√½ẋ̸̂∥≢ℝ𝟙⁺″%\n&;#\\{}[]()^_'$x1 ", "&lt;", r"\cr", r"\\",
]  # fmt: skip
_LABELS = st.recursive(_SIMPLE, _larger, max_leaves=12) | st.lists(
    st.sampled_from([*_COMMANDS, *"{}_^&x1 "])
).map("".join)
_ANYTHING = st.text(max_size=60) | st.lists(st.sampled_from(_JUNK), max_size=30).map("".join)


@given(_LABELS)
@example(r"{T^{a}{}_{b}}_{c}")
def test_is_a_canonical_form(label: str) -> None:
    try:
        latex = normalize(label)
    except LabelError:
        return
    assert normalize(latex) == latex
    assert not {token for token in tokenize(latex) if token in INVISIBLE | FUNCTIONS | set(SPELLINGS)}


NESTED = {
    r"\over": (r"{a\over ", "}"),
    r"\choose": (r"{a\choose ", "}"),
    r"\sqrt": (r"\sqrt[", "3]{x}"),
    r"\xmapsto": (r"\xmapsto[b]{", "}"),
    r"\stackrel": (r"\stackrel[b]{a}{", "}"),
    r"\left": (r"\left(", r"\right)"),
    "pmatrix": (r"\begin{pmatrix}", r"\end{pmatrix}"),
    "^": ("x^{", "}"),
    "√": ("√(", ")"),
}


@pytest.mark.parametrize("construct", NESTED)
def test_a_label_that_is_not_too_deep_is_not_too_deep_when_normalized(construct: str) -> None:
    opening, closing = NESTED[construct]
    accepted = 0
    for depth in range(1, MAX_DEPTH + 10):
        try:
            latex = normalize(opening * depth + "z" + closing * depth)
        except LabelError as error:
            assert error.reason == "depth"
            break
        assert normalize(latex) == latex
        accepted = depth
    assert 10 < accepted < MAX_DEPTH + 9


@pytest.mark.parametrize("part", ["x'", "x₁", r"x\not=", "½", r"\dots "])
def test_a_label_that_is_not_too_long_is_not_too_long_when_normalized(part: str) -> None:
    reasons = set()
    for count in (100, 500, 1000, 2000, 3500, 5000):
        try:
            latex = normalize(part * count)
        except LabelError as error:
            reasons.add(error.reason)
        else:
            assert normalize(latex) == latex
    assert reasons <= {"length"}


@given(_ANYTHING)
def test_any_text_is_normalized_or_refused_with_a_reason(text: str) -> None:
    try:
        latex = normalize(text)
    except LabelError as error:
        assert error.reason != "label"
        return
    assert latex.isascii()
    assert normalize(latex) == latex


@pytest.mark.parametrize(
    "text",
    [
        *("x", "{}", "√(", "x²", "½", r"\kern ", r"\color", r"\not", r"\left(", "&lt;", "% \n", r"\frac"),
        r"\kern" + " " * 9_000, r"\kern" + "1" * 9_000, r"\begin" + " " * 9_000, r"\rule" + " " * 9_000,
        r"\rule{" + "0" * 9_000 + "x}{1em}", "(" + r"\left(" * 55 + "x" * 9_000 + r"\right)" * 55 + ")",
        "{y^{*}}^{2}" * 8 + "}", r"\frac{a}{b}" * 12 + "}",
    ],
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    started = time.process_time()
    with suppress(LabelError):
        normalize((text * 10_000)[:10_000] if len(text) < 10 else text)
    assert time.process_time() - started < 10  # alone under a second; what is not linear takes minutes


def test_the_tables_agree() -> None:
    known = SYMBOLS | ACCENTS | PAIRS | OPTIONAL | {r"\mathbb", r"\binom", "\\\\"}
    assert not known & (INVISIBLE | SPELLINGS.keys() | UNREAD.keys())
    assert not SPELLINGS.keys() & (INVISIBLE | UNREAD.keys() | ROW_COMMANDS.keys() | STRETCHED.keys())
    assert set(NEGATED.values()) <= SYMBOLS
    assert {name for name in SPELLINGS.values() if name[0] == "\\"} <= known


def test_function_names_become_one_token() -> None:
    assert with_functions(tokenize(r"arcsinx+asinh\pi-lim_{n}si n")) == (
        r"\arcsin", "x", "+", "a", r"\sinh", r"\pi", "-", r"\lim", "_", "{", "n", "}", r"\sin",
    )  # fmt: skip
