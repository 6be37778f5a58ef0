"""Which traces are ink on the page, which belong together, and what groups of them are called."""

from __future__ import annotations

import pytest

from components.data.labels import label_of
from components.ink.ink import InkError, Symbol
from tests.ink.documents import channel, ink_of, points, trace_format

LINE = "1 1,2 2,3 3,4 4"


def truth(text: str) -> str:
    return f'<annotation type="truth">{text}</annotation>'


def test_what_is_in_definitions_is_ink_once_a_view_on_the_page_refers_to_it() -> None:
    defined = (
        '<definitions><trace xml:id="a">1 1</trace><trace xml:id="unused">99 99</trace>'
        '<traceGroup xml:id="g"><trace xml:id="b">2 2</trace><traceGroup><trace>3 3</trace></traceGroup>'
        "</traceGroup>"
        '<traceView xml:id="v" traceDataRef="#g"/></definitions>'
    )
    for view, expected in (
        ('<traceView traceDataRef="#a"/>', [1]),
        ('<traceGroup><traceView traceDataRef="a"/></traceGroup>', [1]),
        ('<traceView traceDataRef="#g"/>', [2, 3]),
        ('<traceView traceDataRef="#v"/>', [2, 3]),
        ('<traceView><traceView traceDataRef="#b"/><traceView traceDataRef="#a"/></traceView>', [2, 1]),
        ('<traceView traceDataRef="#b"/><traceView traceDataRef="#g"/>', [2, 3]),  # no stroke twice
        ('<trace>0 0</trace><traceView traceDataRef="#a"/><trace>5 5</trace>', [0, 1, 5]),
    ):
        assert points(ink_of(defined + view)) == [[[x, x]] for x in expected], view
        before = view.replace('"/>', '" />')
        assert points(ink_of(before + defined)) == [[[x, x]] for x in expected], "definitions may come last"
    with pytest.raises(InkError, match="no trace with a point"):
        ink_of(defined)


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ('from="2"', [[2, 2], [3, 3], [4, 4]]),
        ('to="2"', [[1, 1], [2, 2]]),
        ('from="2" to="3"', [[2, 2], [3, 3]]),
        ('from="4" to="4"', [[4, 4]]),
        ('from="1" to="4"', [[1, 1], [2, 2], [3, 3], [4, 4]]),
    ],
)
@pytest.mark.parametrize("trace", [LINE, "1 1,'1'1,1 1,1 1", " 1 1 , 2 2 , 3 3 , 4 4 , "])
def test_a_view_shows_a_part_of_a_trace(trace: str, ends: str, expected: list[list[float]]) -> None:
    defined = f'<definitions><trace xml:id="a">{trace}</trace></definitions>'
    assert points(ink_of(f'{defined}<traceView traceDataRef="#a" {ends}/>')) == [expected]


def test_a_view_shows_a_part_of_a_group() -> None:
    defined = (
        f'<definitions><traceGroup xml:id="g"><trace>{LINE}</trace><traceGroup><trace>5 5,6 6</trace>'
        "<trace>7 7,8 8</trace></traceGroup><trace>9 9</trace></traceGroup></definitions>"
    )
    for ends, expected in (
        ('from="2"', [[5, 6], [7, 8], [9]]),
        ('to="1"', [[1, 2, 3, 4]]),
        ('from="1:3" to="1:4"', [[3, 4]]),
        ('from="1:3" to="2:1"', [[3, 4], [5, 6]]),
        ('from="2:1:2" to="2:2:1"', [[6], [7]]),
        ('from="2:2:2"', [[8], [9]]),
    ):
        ink = ink_of(f'{defined}<traceView traceDataRef="#g" {ends}/>')
        assert [[x for x, _ in stroke] for stroke in points(ink)] == expected, ends


def test_a_view_of_a_view_counts_in_what_that_one_shows() -> None:
    body = (
        f'<definitions><trace xml:id="a">{LINE}</trace><traceView xml:id="v" traceDataRef="#a" from="2"/>'
        '</definitions><traceView traceDataRef="#v" from="2" to="2"/>'
    )
    assert points(ink_of(body)) == [[[3, 3]]]


@pytest.mark.parametrize(
    ("view", "reason"),
    [
        ('traceDataRef="#a" from="5"', "from=5 to=4 is no range of <trace> 'a', which has 4"),
        ('traceDataRef="#a" from="0"', "from=0"),
        ('traceDataRef="#a" from="3" to="2"', "from=3 to=2"),
        ('traceDataRef="#a" to="9"', "to=9"),
        ('traceDataRef="#a" from="two"', "from='two'"),
        ('traceDataRef="#a" from="1:2"', "more numbers"),
        ('traceDataRef="other.inkml#a"', "another document"),
        ('traceDataRef="#v"', "circle"),
    ],
)
def test_a_view_that_shows_no_part_of_the_document_is_refused(view: str, reason: str) -> None:
    circle = '<traceView xml:id="v" traceDataRef="#v"/>'
    defined = f'<definitions><trace xml:id="a">{LINE}</trace>{circle}</definitions>'
    with pytest.raises(InkError, match=reason):
        ink_of(f"{defined}<trace>0 0</trace><traceView {view}/>")


@pytest.mark.parametrize("place", ["annotation", "channelProperties", "brush", "timestamp"])
def test_a_view_of_a_trace_that_is_out_of_place_is_refused(place: str) -> None:
    with pytest.raises(InkError, match="has no traces"):
        ink_of(
            f'<{place}><traceGroup xml:id="g"><trace>1 1</trace></traceGroup></{place}>'
            '<traceView traceDataRef="#g"/><trace>2 2</trace>'
        )


def test_a_view_of_what_is_not_there_shows_nothing() -> None:  # CROHME has such
    assert points(ink_of('<trace>0 0</trace><traceView traceDataRef="#a"/>')) == [[[0, 0]]]


def test_a_view_may_have_the_context_of_traces_that_have_none() -> None:
    up = f'<context xml:id="up">{trace_format(channel("X"), channel("Y", orientation="-ve"))}</context>'
    defined = f'<definitions>{up}<trace xml:id="a">1 -1</trace></definitions>'
    assert points(ink_of(f'{defined}<traceView contextRef="#up" traceDataRef="#a"/>')) == [[[1, 1]]]
    with pytest.raises(InkError, match="another context"):
        ink_of(f'{defined}<trace xml:id="b">1 1</trace><traceView contextRef="#up" traceDataRef="#b"/>')


@pytest.mark.parametrize(
    ("traces", "expected"),
    [
        ('<trace>1 1</trace><trace type="penUp">2 2</trace>', [1]),
        ('<trace type="penDown">1 1</trace><trace type="PENUP">2 2</trace>', [1]),
        ('<trace>1 1</trace><trace type="indeterminate">2 2</trace>', [1]),
        ('<trace type="indeterminate">1 1</trace><trace type="indeterminate">2 2</trace>', [1, 2]),
    ],
)
def test_only_where_the_pen_writes_there_is_ink(traces: str, expected: list[float]) -> None:
    assert points(ink_of(traces)) == [[[x, x]] for x in expected]


def test_channel_s_tells_of_an_indeterminate_trace() -> None:
    header = trace_format(channel("X"), channel("Y"), channel("S", type="boolean"))
    body = f'{header}<trace>0 0 T</trace><trace type="indeterminate">1 1 F,2 2 T,3 3 F</trace>'
    assert points(ink_of(body)) == [[[0, 0]], [[2, 2]]]


def test_continued_traces_are_one_stroke() -> None:
    ink = ink_of(
        '<trace id="a" continuation="begin">1 1,2 2</trace><trace id="b">9 9</trace>'
        '<trace id="c" continuation="middle" priorRef="#a">2 2,3 3</trace>'
        '<trace id="d" continuation="end" priorRef="c">4 4,\'1\'1</trace>'
        '<trace id="e" type="penUp">0 0</trace><trace id="f" continuation="end" priorRef="#e">7 7</trace>'
        f'<traceGroup>{truth("x")}<traceView traceDataRef="#a"/><traceView traceDataRef="#d"/></traceGroup>'
        f'<traceGroup>{truth("y")}<traceView traceDataRef="#f"/><traceView traceDataRef="#b"/></traceGroup>'
    )
    assert points(ink) == [[[1, 1], [2, 2], [3, 3], [4, 4], [5, 5]], [[9, 9]], [[7, 7]]]
    assert ink.symbols == (Symbol("x", (0,)), Symbol("y", (2, 1)))


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        ('<trace continuation="end">1 1</trace>', "priorRef=None"),
        ('<trace continuation="end" priorRef="#b">1 1</trace>', "priorRef='#b'"),
        ('<trace continuation="end" priorRef="#late">1 1</trace>', "comes after"),
        ('<trace continuation="further" priorRef="#a">1 1</trace>', "continuation='further'"),
        ('<trace type="eraser">1 1</trace>', "type='eraser'"),
    ],
)
def test_what_is_not_clear_of_a_trace_is_refused(trace: str, reason: str) -> None:
    with pytest.raises(InkError, match=reason):
        ink_of(f'<trace id="a">0 0</trace>{trace}<trace id="late">1 1</trace>')


def test_traces_are_found_in_groups_and_unknown_elements() -> None:
    body = (
        '<traceGroup><trace>0 0</trace></traceGroup><x:page xmlns:x="urn:x"><trace>1 1</trace></x:page>'
        "<annotationXML><trace>9 9</trace></annotationXML><brush><trace>9 9</trace></brush>"
    )
    assert points(ink_of(body)) == [[[0, 0]], [[1, 1]]]


@pytest.mark.parametrize("width", [3, 4])
def test_values_that_no_format_announces_follow_x_and_y(width: int) -> None:
    more = " 0.5 1730000000"[: 4 if width == 3 else None]
    assert points(ink_of(f"<trace>1 2{more},3 4{more}</trace>")) == [[[1, 2], [3, 4]]]
    assert points(ink_of(f"<trace>1 2{more},3 4{more}</trace><trace>5 6{more}</trace>")) == [
        [[1, 2], [3, 4]],
        [[5, 6]],
    ]


def test_four_values_without_a_comma_anywhere_may_be_two_points() -> None:
    with pytest.raises(InkError, match="4 values and no comma"):
        ink_of("<trace>1 2 3 4</trace><trace>5 6 7 8</trace>")
    four = trace_format(*map(channel, "XYFT"))
    assert points(ink_of(f"{four}<trace>1 2 3 4</trace>")) == [[[1, 2]]]


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (f"<traceGroup>{truth('x')}<trace>1 1</trace><trace>2 2</trace></traceGroup>", "x"),
        (f"<traceGroup>{truth('a+b')}<traceGroup><trace>1 1</trace></traceGroup></traceGroup>", "a+b"),
        (
            f'<trace id="0">1 1</trace><traceGroup>{truth("x")}<traceView traceDataRef="#0"/></traceGroup>',
            "x",
        ),
        (f'<trace id="0">1 1</trace><traceView traceDataRef="#0">{truth("x")}</traceView>', "x"),
        (f"{truth('y')}<traceGroup>{truth('x')}<trace>1 1</trace></traceGroup>", "y"),
        (f"<traceGroup>{truth('x')}<trace>1 1</trace></traceGroup><trace>2 2</trace>", None),  # of a part
        (f"<traceGroup>{truth('Segmentation')}<trace>1 1</trace></traceGroup>", None),
        (
            f"<traceGroup>{truth('Segmentation')}<traceGroup>{truth('x')}<trace>1 1</trace></traceGroup>"
            "</traceGroup>",
            None,
        ),
    ],
)
def test_a_group_of_all_the_ink_may_say_the_label(body: str, label: str | None) -> None:
    assert ink_of(body).label == label


def test_the_group_of_a_formula_is_no_symbol() -> None:
    assert ink_of(f"<traceGroup>{truth('x+1')}<trace>1 1</trace></traceGroup>").symbols == ()
    assert ink_of(f"<traceGroup>{truth('$x$')}<trace>1 1</trace></traceGroup>").symbols == (
        Symbol("$x$", (0,)),
    )


def test_symbols_may_hold_their_traces_or_be_views() -> None:
    ink = ink_of(
        f"{truth('x+1')}<traceGroup><traceGroup>{truth('x')}<trace>0 0</trace><trace>1 1</trace></traceGroup>"
        f"<traceGroup>{truth('+')}<trace>2 2</trace></traceGroup></traceGroup>"
        f'<trace xml:id="one">3 3</trace><traceView>{truth("1")}<traceView traceDataRef="#one"/></traceView>'
    )
    assert ink.symbols == (Symbol("x", (0, 1)), Symbol("+", (2,)), Symbol("1", (3,)))


def test_a_part_of_a_stroke_is_no_symbol() -> None:
    def group(token: str, ends: str) -> str:
        return f'<traceGroup>{truth(token)}<traceView traceDataRef="#a" {ends}/></traceGroup>'

    body = f'{truth("11")}<trace xml:id="a">{LINE}</trace><traceGroup>{{}}</traceGroup>'
    assert ink_of(body.format(group("1", 'to="2"') + group("1", 'from="3"'))).symbols == ()
    assert ink_of(body.format(group("1", 'from="1" to="4"'))).symbols == (Symbol("1", (0,)),)
    assert points(ink_of(body.format(group("1", 'to="2"')))) == [[[1, 1], [2, 2], [3, 3], [4, 4]]]


@pytest.mark.parametrize(
    "annotation",
    [
        '<annotation type="truth"><math xmlns="m"><mfrac><mi>a</mi><mi>b</mi></mfrac></math></annotation>',
        '<annotation type="label">&lt;math&gt;&lt;mfrac&gt;&lt;mi&gt;a&lt;/mi&gt;&lt;mi&gt;b&lt;/mi&gt;'
        "&lt;/mfrac&gt;&lt;/math&gt;</annotation>",
        '<annotation type="truth"><m:math xmlns:m="m"><m:mfrac><m:mi>a</m:mi><m:mi>b</m:mi></m:mfrac>'
        "</m:math></annotation>",
        '<annotationXML type="MathML"><math><mfrac><mi>a</mi><mi>b</mi></mfrac></math></annotationXML>',
        '<annotationXML type=" Truth"><math><mfrac><mi>a</mi><mi>b</mi></mfrac></math></annotationXML>',
    ],
)
@pytest.mark.parametrize("body", ["{}<trace>1 1</trace>", "<traceGroup>{}<trace>1 1</trace></traceGroup>"])
def test_mathml_is_no_text_wherever_it_stands(annotation: str, body: str) -> None:
    ink = ink_of(body.format(annotation))
    assert (ink.label, ink.mathml is not None) == (None, True)
    assert label_of(ink) == r"\frac{a}{b}"


def test_mathml_is_the_label_only_if_there_is_no_other() -> None:
    math = '<annotationXML type="truth"><math xmlns="m"><mi>x</mi></math></annotationXML>'
    alone = ink_of(f"{math}<trace>1 1</trace>")
    assert (alone.label, "<mi>x</mi>" in (alone.mathml or "")) == (None, True)
    both = ink_of(f"{truth('x')}{math}<trace>1 1</trace>")
    assert (both.label, both.mathml) == ("x", None)
    assert "<mi>x</mi>" in (ink_of(f"<traceGroup>{math}<trace>1 1</trace></traceGroup>").mathml or "")
    assert ink_of(f"<traceGroup>{math}<trace>1 1</trace></traceGroup><trace>2 2</trace>").mathml is None
    assert ink_of('<annotationXML type="truth"><math/></annotationXML><trace>1 1</trace>').mathml is None
    assert ink_of(f"{math.replace('truth', 'guess')}<trace>1 1</trace>").mathml is None
