"""What the InkML reader promises of every quirk that real files have, and that the writer is its inverse."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from components.ink import inkml
from components.ink.ink import Ink, Symbol
from components.ink.inkml import InkError, parse_inkml, read_inkml, write_inkml


def ink_of(body: str, root: str = '<ink xmlns="http://www.w3.org/2003/InkML">') -> Ink:
    return parse_inkml(f"{root}{body}</ink>".encode(), "x")


def annotation(type: str, text: str) -> str:
    return f'<annotation type="{type}">{text}</annotation>'


def points(ink: Ink) -> list[list[list[float]]]:
    return [stroke.tolist() for stroke in ink.strokes]


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ("1 2, 3 4", [[1, 2], [3, 4]]),
        ("1 2 0,3 4 17", [[1, 2], [3, 4]]),  # with time
        ("\n  1 2,\n3 4\t\n", [[1, 2], [3, 4]]),
        ("1 2, 3 4,", [[1, 2], [3, 4]]),
        ("5 6", [[5, 6]]),
        ("1 2, 1 2, 3 4, 3 4, 1 2", [[1, 2], [3, 4], [1, 2]]),  # equal in a row: once
        ("7 7 1, 7 7 2", [[7, 7]]),
        ("1e1 -2.5E-1, +3 .5", [[10, -0.25], [3, 0.5]]),
        ("1 <!-- pen --> 2, 3 4", [[1, 2], [3, 4]]),
    ],
)
def test_points_are_what_the_trace_says(trace: str, expected: list[list[float]]) -> None:
    ink = ink_of(f'<trace id="0">{trace}</trace>')
    assert points(ink) == [expected]
    assert ink.strokes[0].dtype == np.float32


def test_header_that_announces_more_than_points_have_is_not_believed() -> None:
    header = '<traceFormat><channel name="X"/><channel name="Y"/><channel name="F"/></traceFormat>'
    assert points(ink_of(f"{header}<trace>1 2, 3 4</trace>")) == [[[1, 2], [3, 4]]]


def test_fine_coordinates_are_not_rounded() -> None:
    assert points(ink_of("<trace>11.7004 15.5288</trace>")) == [[[np.float32(11.7004), np.float32(15.5288)]]]


def test_empty_traces_and_pen_up_are_no_strokes_and_groups_still_mean_the_right_ones() -> None:
    ink = ink_of(
        '<trace id="a"/><trace id="b"> , </trace><trace id="c" type="penUp">0 0, 9 9</trace>'
        '<trace id="d">1 2</trace>'
        '<traceGroup><annotation type="truth">.</annotation><traceView traceDataRef="#d"/></traceGroup>'
    )
    assert points(ink) == [[[1, 2]]]
    assert ink.symbols == (Symbol(".", (0,)),)


@pytest.mark.parametrize(
    ("root", "head"),
    [("<ink>", ""), ('<i:ink xmlns:i="http://www.w3.org/2003/InkML">', "i:")],
)
def test_missing_or_prefixed_namespace(root: str, head: str) -> None:
    data = (
        f'{root}<{head}annotation type="truth">x</{head}annotation><{head}trace>1 2</{head}trace></{head}ink>'
    )
    ink = parse_inkml(data.encode(), "x")
    assert (points(ink), ink.label) == ([[[1, 2]]], "x")


@pytest.mark.parametrize(
    ("annotations", "label"),
    [
        (annotation("truth", "$ x $"), "$ x $"),  # the normalizer's matter
        (annotation("label", "\\sin x") + annotation("normalizedLabel", "sinx"), "sinx"),
        (annotation("label", "\\alpha"), "\\alpha"),
        (annotation("normalizedLabel", " ") + annotation("truth", "\n a&lt;b "), "a<b"),
        (annotation("Truth", "x"), "x"),
        (annotation("NORMALIZEDLABEL ", "x") + annotation("truth", "y"), "x"),
        (annotation("LaTeX", "x^2"), "x^2"),
        (annotation("truth", " ") + annotation("truth", "x"), "x"),
        (annotation("truth", "x") + annotation("truth", "y"), "x"),
        ('<annotation typx="truth">x</annotation>', None),
        ('<annotationXML type="truth"><math/></annotationXML>', None),
        ('<traceGroup><annotation type="truth">x</annotation></traceGroup>', None),  # of no ink
        ("", None),
    ],
)
def test_label_is_the_first_annotation_that_tells_it(annotations: str, label: str | None) -> None:
    assert ink_of(f"{annotations}<trace>1 2</trace>").label == label


def test_symbols_are_the_groups_without_subgroups() -> None:
    ink = ink_of(
        '<annotation type="writer"> w7 </annotation>'
        '<trace id="0">1 1</trace><trace id="1">2 2</trace><trace id="2">3 3</trace><trace id="2">4 4</trace>'
        '<traceGroup xml:id="9"><annotation type="truth">Segmentation</annotation>'
        '<traceGroup xml:id="0:1:"><annotation type="truth">+</annotation>'
        '<traceView traceDataRef="1"/><traceView traceDataRef="0"/><traceView traceDataRef="1"/></traceGroup>'
        '<traceGroup xml:id="0:1:"><annotation type="truth">x</annotation>'
        '<traceView traceDataRef="2"/><traceView traceDataRef="nowhere"/></traceGroup>'
        '<traceGroup><annotation type="truth">y</annotation><traceView traceDataRef="nowhere"/></traceGroup>'
        '<traceGroup><traceView traceDataRef="0"/></traceGroup>'
        "</traceGroup>"
    )
    assert ink.symbols == (Symbol("+", (1, 0)), Symbol("x", (2,)))
    assert len(ink.strokes) == 4  # the one that no group names is kept
    assert ink.writer == "w7"


def test_symbols_come_in_the_order_of_the_formula_that_they_refer_to() -> None:
    def group(token: str, name: str, trace: int) -> str:
        return (
            f'<traceGroup><annotation type="truth">{token}</annotation><annotationXML href="{name}"/>'
            f'<traceView traceDataRef="{trace}"/></traceGroup>'
        )

    ink = ink_of(
        '<annotationXML type="truth"><math xmlns="http://www.w3.org/1998/Math/MathML"><mrow>'
        '<mfrac xml:id="-_1"><mi xml:id="x_1">x</mi><mn xml:id="2_1">2</mn></mfrac><mi xml:id="x_2">x</mi>'
        "</mrow></math></annotationXML>"
        '<trace id="0">1 1</trace><trace id="1">2 2</trace><trace id="2">3 3</trace><trace id="3">4 4</trace>'
        + group("x", "x_2", 0)
        + group("2", "2_1", 1)
        + group("+", "nowhere", 1)
        + group("x", "x_1", 2)
        + group("-", "-_1", 3)
    )
    assert [(symbol.token, symbol.strokes) for symbol in ink.symbols] == [
        ("-", (3,)), ("x", (2,)), ("2", (1,)), ("x", (0,)), ("+", (1,)),
    ]  # fmt: skip


def test_a_byte_that_is_no_utf_8_does_not_lose_the_ink() -> None:
    formula = b"<annotationXML>\xb7</annotationXML>"
    data = b'<?xml version="1.0" encoding="utf-8"?><ink>' + formula + b"<trace>1 2</trace></ink>"
    assert points(parse_inkml(data, "x")) == [[[1, 2]]]


def test_another_encoding_is_read_as_declared() -> None:
    body = '<annotation type="writer">Müller</annotation><trace>1 2</trace>'
    data = f'<?xml version="1.0" encoding="utf-16"?><ink>{body}</ink>'.encode("utf-16")
    assert parse_inkml(data, "x").writer == "Müller"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "no trace with a point"),
        ("<trace> </trace>", "no trace with a point"),
        ('<trace id="5">1</trace>', "trace '5': point 1 has 1 values"),
        ("<trace>1 2, 3 4 5</trace>", "every point"),
        ("<trace>1 2, 3 4 5, 6</trace>", "every point"),  # as many numbers as three points of two have
        ("<trace>1 2,,3 4</trace>", "every point"),
        ("<trace>1 2\n3 4\n5 6</trace>", "commas between points"),
        ("<trace>1 2, 3 abc</trace>", "point 2, '3 abc', has something that is not a number"),
        ("<trace>1 2, nan 4</trace>", "not a finite number"),
        ("<trace>1 2, 3 1e39</trace>", "not a finite number"),  # as float32
        (
            '<traceFormat><channel name="T"/><channel name="X"/></traceFormat><trace>1 2</trace>',
            "channels T, X: exactly one channel Y",
        ),
    ],
)
def test_what_is_no_ink_is_refused_with_the_reason(body: str, reason: str) -> None:
    with pytest.raises(InkError, match=reason):
        ink_of(body)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"\x89PNG\r\n", "not well-formed XML"),
        (b"<ink><trace>1 2", "not well-formed XML"),
        (b"<svg/>", "<svg>, not InkML"),
    ],
)
def test_what_is_no_inkml_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(InkError, match=reason):
        parse_inkml(data, "x")


def bomb(where: str) -> bytes:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 10))
    body = {"text": "<trace>&e9;</trace>", "attribute": '<trace id="&e9;">1 2</trace>'}[where]
    return f'<!DOCTYPE ink [<!ENTITY e0 "1 2, ">{entities}]><ink>{body}</ink>'.encode()


@pytest.mark.parametrize("where", ["text", "attribute"])
def test_entity_bomb_is_refused_at_once(where: str) -> None:
    begun = time.monotonic()
    with pytest.raises(InkError, match="entit"):
        parse_inkml(bomb(where), "x")
    assert time.monotonic() - begun < 2


def test_external_entity_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("1 2")
    data = f'<!DOCTYPE ink [<!ENTITY s SYSTEM "{tmp_path}/secret">]><ink><trace>&s;</trace></ink>'
    with pytest.raises(InkError, match="entities"):
        parse_inkml(data.encode(), "x")


def test_ten_million_points_are_refused_at_once() -> None:
    begun = time.monotonic()
    with pytest.raises(InkError, match="too many points"):
        ink_of(f"<trace>{'1 2,' * 10_000_000}</trace>")
    with pytest.raises(InkError, match="more than 1000000 points"):
        ink_of("".join(f"<trace>{'1 2,' * 100_000}</trace>" for _ in range(11)))
    assert time.monotonic() - begun < 10


def test_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.inkml"
    with path.open("wb") as file:
        file.truncate(inkml.MAX_BYTES + 1)
    with pytest.raises(InkError, match="larger than 64 MiB"):
        read_inkml(path)


@given(st.binary(max_size=300) | st.text(alphabet="<>/ink trace=\"'&;01 ,.-e", max_size=200).map(str.encode))
def test_any_bytes_give_an_ink_or_an_ink_error(data: bytes) -> None:
    for document in (data, b"<ink><trace>" + data + b"</trace></ink>"):
        try:
            ink = parse_inkml(document, "x")
        except InkError:
            continue
        assert all(len(stroke) and np.isfinite(stroke).all() for stroke in ink.strokes)


def strokes() -> st.SearchStrategy[np.ndarray]:
    shape = st.tuples(st.integers(1, 12), st.just(2))
    floats = st.floats(width=32, allow_nan=False, allow_infinity=False)
    return hnp.arrays(np.float32, shape, elements=floats).map(
        lambda stroke: stroke[np.r_[True, (stroke[1:] != stroke[:-1]).any(axis=1)]]
    )


def texts() -> st.SearchStrategy[str]:
    # The characters that XML can hold, less the carriage return, which a line end may lose.
    return st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1).filter(
        lambda t: t == t.strip()
    )


@st.composite
def inks(draw: st.DrawFn) -> Ink:
    drawn = tuple(draw(st.lists(strokes(), min_size=1, max_size=5)))
    members = st.lists(st.integers(0, len(drawn) - 1), min_size=1, unique=True).map(tuple)
    symbols = st.lists(st.builds(Symbol, texts(), members), max_size=4).map(tuple)
    return Ink("x", drawn, draw(st.none() | texts()), draw(st.none() | texts()), draw(symbols))


@settings(deadline=None)
@given(inks(), st.booleans())
def test_what_is_written_is_read_again(ink: Ink, timed: bool) -> None:
    buffer = io.BytesIO()
    times = [np.arange(len(stroke)).tolist() for stroke in ink.strokes]
    write_inkml(ink, buffer, times if timed else None)
    again = parse_inkml(buffer.getvalue(), "x")
    assert (again.label, again.writer, again.symbols) == (ink.label, ink.writer, ink.symbols)
    for stroke, written in zip(again.strokes, ink.strokes, strict=True):
        assert np.array_equal((stroke + np.array(again.origin)).astype(np.float32), written)


def test_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.inkml"
    stroke = np.zeros((1, 2), np.float32)
    write_inkml(Ink("a", (stroke,), label="x"), path)
    with pytest.raises(ValueError, match="XML"):
        write_inkml(Ink("a", (stroke,), label="\0"), path)
    with pytest.raises(ValueError, match="times"):
        write_inkml(Ink("a", (stroke,), label="y"), path, times=[[0, 1]])
    assert read_inkml(path).label == "x"
    assert [p.name for p in tmp_path.iterdir()] == ["a.inkml"]
