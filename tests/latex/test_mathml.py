"""Labels in MathML: presentation and content become LaTeX, what has none is refused by name."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latex2mathml.converter import convert

from components.latex.mathml import mathml_to_latex
from components.latex.normalizer import LabelError, normalize


def latex(body: str) -> str:
    return normalize(mathml_to_latex(f'<math xmlns="http://www.w3.org/1998/Math/MathML">{body}</math>'))


X, Y, TWO = "<mi>x</mi>", "<mi>y</mi>", "<mn>2</mn>"
SUM = "<mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"<mfrac>{X}{TWO}</mfrac>", r"\frac{x}{2}"),
        (f'<mfrac linethickness="0">{X}{Y}</mfrac>', r"\begin{matrix}x\\ y\end{matrix}"),
        (f'<mfrac bevelled="true">{X}{Y}</mfrac>', "x/y"),
        (f"<msqrt>{X}<mo>+</mo>{Y}</msqrt>", r"\sqrt{x+y}"),
        (f"<mroot>{X}<mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        (f"<msup>{X}{TWO}</msup>", "x^{2}"),
        (f"<msubsup>{X}{Y}{TWO}</msubsup>", "x_{y}^{2}"),
        (f"<msup><msup>{X}{TWO}</msup>{Y}</msup>", "{x^{2}}^{y}"),
        ("<msup><mi>f</mi><mo>&#x2032;</mo></msup>", r"f^{\prime}"),
        (f"<munderover><mo>&#x2211;</mo>{SUM}<mi>n</mi></munderover>", r"\sum_{i=1}^{n}"),
        (f"<munderover><mo>\\sum</mo>{SUM}<mi>n</mi></munderover>", r"\sum_{i=1}^{n}"),  # as CROHME has it
        (f"<munder><mi>lim</mi>{X}</munder>", "lim_{x}"),
        (f"<munder><mrow><mi>l</mi><mi>i</mi><mi>m</mi></mrow>{X}</munder>", "lim_{x}"),
        (f"<mover>{X}<mo>^</mo></mover>", r"\hat{x}"),
        (f"<mover>{X}<mo>&#xaf;</mo></mover>", r"\overline{x}"),
        (f"<mover>{X}<mo>&#x2192;</mo></mover>", r"\vec{x}"),
        (f"<munder>{X}<mo>_</mo></munder>", r"\underline{x}"),
        (f"<mover>{X}{Y}</mover>", r"\overset{y}{x}"),
        (f"<munder>{X}{Y}</munder>", r"\underset{y}{x}"),
        (f"<mover><mo>&#x2192;</mo>{X}</mover>", r"\xrightarrow{x}"),
        (f"<mfenced>{X}{Y}</mfenced>", "(x,y)"),
        (f'<mfenced open="[" close="]" separators=";">{X}{Y}{X}</mfenced>', "[x;y;x]"),
        (f'<mfenced open="|" close="|" separators="">{X}{Y}</mfenced>', "|xy|"),
        (f"<mtable><mtr><mtd>{X}</mtd><mtd>{Y}</mtd></mtr></mtable>", r"\begin{matrix}x&y\end{matrix}"),
        (
            f"<mmultiscripts>{X}{Y}{TWO}<mprescripts/><mn>3</mn><none/></mmultiscripts>",
            "_{3}x_{y}^{2}",
        ),
        (f'<menclose notation="radical">{X}</menclose>', r"\sqrt{x}"),
        ("<mi>sin</mi><mo>&#x2061;</mo><mi>x</mi>", "sinx"),
        ("<mi>&#x3b1;</mi><mo>&#x2264;</mo><mn>1</mn>", r"\alpha\le1"),
        ("<mi>alpha</mi><mo>infin</mo><mi>\\pi</mi>", r"\alpha\infty\pi"),
        ("<mo>{</mo><mn>5</mn><mo>%</mo><mo>}</mo>", r"\{5\%\}"),
        ("<mn> 1 </mn><mo> &#x2212; </mo><mi> x </mi>", "1-x"),
        (f"<mstyle><mpadded>{X}<mspace/><mphantom>{Y}</mphantom></mpadded></mstyle>", "x"),
        (f'<semantics>{X}<annotation encoding="application/x-tex">y^2</annotation></semantics>', "y^{2}"),
        (f'<semantics>{X}<annotation encoding="text/plain">y</annotation></semantics>', "x"),
    ],
)
def test_presentation(body: str, expected: str) -> None:
    assert latex(body) == expected


def apply(operator: str, *arguments: str) -> str:
    return f"<apply><{operator}/>{''.join(arguments)}</apply>"


A, B, ONE = "<ci>a</ci>", "<ci>b</ci>", "<cn>1</cn>"
BVAR = "<bvar><ci>x</ci></bvar>"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (apply("plus", A, B, ONE), "a+b+1"),
        (apply("plus", A, apply("minus", B)), "a-b"),
        (apply("plus", A, "<cn>-1</cn>"), "a-1"),
        (apply("minus", A, apply("minus", B, ONE)), "a-(b-1)"),
        (apply("minus", apply("plus", A, B)), "-(a+b)"),
        (apply("times", A, apply("plus", B, ONE)), "a(b+1)"),
        (apply("times", A, "<cn>2</cn>"), r"a\times2"),
        (apply("divide", A, B), r"\frac{a}{b}"),
        (apply("power", apply("plus", A, B), ONE), "(a+b)^{1}"),
        (apply("root", A), r"\sqrt{a}"),
        (apply("root", "<degree><cn>3</cn></degree>", A), r"\sqrt[3]{a}"),
        (apply("eq", apply("leq", A, B), ONE), r"a\le b=1"),
        (apply("sin", apply("plus", A, B)), "sin(a+b)"),
        (apply("log", "<logbase><cn>2</cn></logbase>", A), "log_{2}a"),
        (apply("factorial", A), "a!"),
        (apply("abs", apply("minus", A, B)), "|a-b|"),
        (
            apply("int", BVAR, "<lowlimit><cn>0</cn></lowlimit><uplimit><infinity/></uplimit>", A),
            r"\int_{0}^{\infty}adx",
        ),
        (
            apply("sum", BVAR, "<lowlimit><cn>1</cn></lowlimit><uplimit><ci>n</ci></uplimit>", A),
            r"\sum_{x=1}^{n}a",
        ),
        (apply("limit", BVAR, "<lowlimit><cn>0</cn></lowlimit>", A), r"lim_{x\rightarrow0}a"),
        (apply("diff", BVAR, A), r"\frac{da}{dx}"),
        (apply("diff", "<bvar><ci>x</ci><degree><cn>2</cn></degree></bvar>", A), r"\frac{d^{2}a}{dx^{2}}"),
        (
            apply("partialdiff", BVAR, "<bvar><ci>y</ci></bvar>", A),
            r"\frac{\partial^{2}a}{\partial x\partial y}",
        ),
        (f"<apply><ci>f</ci>{A}{B}</apply>", "f(a,b)"),
        (apply("in", A, f"<set>{A}{B}</set>"), r"a\in\{a,b\}"),
        ('<cn type="rational">1<sep/>2</cn>', r"\frac{1}{2}"),
        (f'<interval closure="open">{A}{B}</interval>', "(a,b)"),
        (f"<matrix><matrixrow>{A}{B}</matrixrow></matrix>", r"(\begin{matrix}a&b\end{matrix})"),
        (f"<piecewise><piece>{ONE}{A}</piece></piecewise>", r"\{\begin{matrix}1&a\end{matrix}"),
        (f"<mrow>{X}<mo>=</mo>{apply('plus', A, B)}</mrow>", "x=a+b"),  # both kinds
        ("<ci><msub><mi>x</mi><mn>1</mn></msub></ci>", "x_{1}"),
    ],
)
def test_content(body: str, expected: str) -> None:
    assert latex(body) == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "empty"),
        ("<mrow/>", "empty"),
        ("<mglyph/>", "<mglyph>"),
        ("<mfrac><mi>x</mi></mfrac>", "<mfrac> with 1 children"),
        ('<menclose notation="circle"><mi>x</mi></menclose>', "notation='circle'"),
        (apply("lambda", A), "<lambda/>"),
        (apply("divide", A), "<divide/> with 1 arguments"),
        ("<apply/>", "without an operator"),
        ('<cn type="complex-polar">1<sep/>2</cn>', "complex-polar"),
        ("<mo>^</mo><mi>x</mi>", r"\\\^"),
        ("<mrow>" * 120 + "<mi>x</mi>" + "</mrow>" * 120, "too deep"),
        ("<mi>x</mo>", "not well-formed"),
    ],
)
def test_what_has_no_latex_is_refused_by_name(body: str, reason: str) -> None:
    with pytest.raises(LabelError, match=reason):
        latex(body)


@pytest.mark.parametrize(
    "formula",
    [
        r"\frac{a}{b+\sqrt{c}}", "x^{2}+y_{1}^{2}=0", r"\sum_{i=1}^{n}i", r"\int_{0}^{1}f(x)dx",
        r"\sqrt[3]{x}",
        r"\begin{matrix}a&b\\ c&d\end{matrix}", r"\alpha\le\beta\in\Gamma", r"\hat{x}\ne\overline{y}",
        r"a\times b\div c\pm d", r"\{x|x\rightarrow\infty\}", r"f^{\prime}(x)", r"e^{-\frac{x^{2}}{2}}",
    ],
)  # fmt: skip
def test_what_was_latex_is_that_latex_again(formula: str) -> None:
    assert normalize(mathml_to_latex(convert(formula))) == formula


TAGS = st.sampled_from(
    [
        *("mi", "mn", "mo", "mrow", "mfrac", "msup", "msub", "msubsup", "munder", "mover", "munderover"),
        *("msqrt", "mroot", "mfenced", "mtable", "mtr", "mtd", "mmultiscripts", "mprescripts", "none"),
        *("apply", "plus", "minus", "ci", "cn", "set", "bvar", "diff", "sum", "int", "limit", "piecewise"),
    ]
)
TREES = st.recursive(
    st.builds("<{0}>{1}</{0}>".format, TAGS, st.sampled_from(["", "x", "2", "{", "\\", "&lt;", "lim", "^"])),
    lambda inner: st.builds(
        lambda tag, parts: f"<{tag}>{''.join(parts)}</{tag}>", TAGS, st.lists(inner, max_size=4)
    ),
    max_leaves=12,
)


@given(TREES)
def test_any_tree_gives_latex_or_a_label_error(tree: str) -> None:
    with suppress(LabelError):
        assert latex(tree)
