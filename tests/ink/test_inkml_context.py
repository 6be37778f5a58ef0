"""Contexts: which values are X and Y, their directions and units, and where they lie on the page."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from components.ink.ink import InkError
from tests.ink.documents import SHAPE, channel, ink_of, points, shape, trace_format, traces

X, Y, F, T = (channel(name) for name in "XYFT")
UP = channel("Y", orientation="-ve")
FLIP = '<mapping type="affine"><matrix>1 0 0, 0 -1 100</matrix></mapping>'


@pytest.mark.parametrize("names", list(itertools.permutations(["X", "y", "T", "F"])))
def test_channels_come_in_any_order_and_case(names: tuple[str, ...]) -> None:
    values = {"X": "{x:g}", "y": "{y:g}", "T": "{i}", "F": "-{i}.5"}
    header = trace_format(*map(channel, names))
    ink = ink_of(header + traces(" ".join(values[name] for name in names)))
    assert shape(ink) == SHAPE
    assert points(ink)[0][0] == [1, 2]


@pytest.mark.parametrize("names", ["X", "Y", "XYX", "FT", "AB"])
def test_a_format_without_one_x_and_one_y_is_refused(names: str) -> None:
    with pytest.raises(InkError, match=r"<traceFormat> has the channels .*exactly one channel"):
        ink_of(trace_format(*map(channel, names)) + traces())


@pytest.mark.parametrize(
    ("header", "write"),
    [
        (trace_format(X, UP), "{x:g} -{y:g}"),
        (trace_format(channel("x", orientation="+ve"), channel("y", orientation="-VE")), "{x:g} -{y:g}"),
        (trace_format(channel("X", orientation="-ve"), Y), "-{x:g} {y:g}"),
        (trace_format(channel("X", orientation="-ve"), UP), "-{x:g} -{y:g}"),
        (trace_format(F, UP, X), "5 -{y:g} {x:g}"),
        (trace_format(channel("X", units="mm"), channel("Y", units="himetric")), "{x:g} {y:g}00"),
        (
            trace_format(channel("X", units="cm"), channel("Y", units="mm", orientation="-ve")),
            "{x:g} -{y:g}0",
        ),
        (trace_format(channel("X", units="IN"), channel("Y", units="pt")), "{x:g} 72*{y:g}"),
        (trace_format(channel("X", units="dev"), channel("Y")), "{x:g} {y:g}"),
        (trace_format(channel("X", units="furlong"), channel("Y", units="furlong")), "{x:g} {y:g}"),
    ],
)
def test_orientation_and_units_make_the_same_ink(header: str, write: str) -> None:
    if "72*" in write:
        body = "".join(
            "<trace>" + ",".join(f"{x} {72 * y}" for x, y in stroke) + "</trace>"
            for stroke in (((1, 2), (4, 2), (4, 9)), ((6, 3), (8, 3)), ((7, 8),))
        )
    else:
        body = traces(write)
    assert shape(ink_of(header + body)) == SHAPE


def test_coordinates_stay_in_the_units_of_x_and_have_no_negative_zero() -> None:
    header = trace_format(channel("X", units="mm"), channel("Y", units="cm", orientation="-ve"))
    [[point, _]] = points(ink_of(f"{header}<trace>5 0, 5 -1</trace>"))
    assert point == [5, 0]
    assert not np.signbit(point).any()


def resolution(channel: str, value: str, units: str = "1/cm") -> str:
    return f'<channelProperty channel="{channel}" name="resolution" value="{value}" units="{units}"/>'


def source(*properties: str, header: str = trace_format(X, Y)) -> str:
    inner = f"<channelProperties>{''.join(properties)}</channelProperties>"
    return f'<inkSource xml:id="s">{header}{inner}</inkSource>'


@pytest.mark.parametrize(
    ("properties", "write"),
    [
        ([resolution("X", "1000"), resolution("Y", "1000")], "{x:g} {y:g}"),
        ([resolution("X", "1000"), resolution("Y", "10000")], "{x:g} {y:g}0"),
        ([resolution("x", "100"), resolution("y", "10", "1/mm")], "{x:g} {y:g}"),
        ([resolution("X", "1", "1/mm"), resolution("Y", "1", "1/himetric")], "{x:g} {y:g}00"),
        ([resolution("X", "600", "dpi"), resolution("Y", "6000", "1/in")], "{x:g} {y:g}0"),
        ([resolution("F", "1024", "dev")], "{x:g} {y:g}"),
    ],
)
def test_resolution_is_of_each_channel(properties: list[str], write: str) -> None:
    body = f'<context xml:id="c">{source(*properties)}</context>'
    assert shape(ink_of(f"<definitions>{body}</definitions>" + traces(write, 'contextRef="#c"'))) == SHAPE
    assert shape(ink_of(body + traces(write))) == SHAPE


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (trace_format(channel("X", units="mm"), Y), "units whose ratio is not known"),
        (
            trace_format(channel("X", units="mm"), channel("Y", units="furlong")),
            "units whose ratio is not known",
        ),
        (trace_format(channel("X", units="%"), channel("Y", units="em")), "units whose ratio is not known"),
        (trace_format(X, channel("Y", orientation="up")), "orientation='up'"),
        (trace_format(channel("X", type="boolean"), Y), 'channel name="X" type="boolean"'),
        (trace_format(X, '<channel name="Y"><mapping type="lookup"/></channel>'), 'channel name="Y"'),
        (f"<context>{source(resolution('X', '100'))}</context>", "only one of the channels"),
        (f"<context>{source(resolution('X', '0'), resolution('Y', '1'))}</context>", "value='0'"),
        (f"<context>{source(resolution('X', 'fine'), resolution('Y', '1'))}</context>", "value='fine'"),
        (
            "<context>"
            + source(
                *(resolution("X", "1", "1/mm"), resolution("Y", "1", "1/mm")),
                header=trace_format(channel("X", units="mm"), channel("Y", units="himetric")),
            )
            + "</context>",
            "contradict their resolutions",
        ),
    ],
)
def test_what_is_not_known_of_a_channel_is_refused(header: str, reason: str) -> None:
    with pytest.raises(InkError, match=reason):
        ink_of(header + traces())


def in_context(content: str) -> list[list[list[list[float]]]]:
    """The shape of the strokes, written with y upwards, in the context of `content` in four ways."""
    body, defined = traces("{x:g} -{y:g}"), f'<context xml:id="c">{content}</context>'
    referring = traces("{x:g} -{y:g}", 'contextRef="#c"')
    return [
        shape(ink_of(f"<definitions>{defined}</definitions>{referring}")),
        shape(ink_of(f'<definitions>{defined}</definitions><traceGroup contextRef="#c">{body}</traceGroup>')),
        shape(ink_of(f"{defined}{body}")),  # the current context
        shape(ink_of(f'<definitions>{defined}</definitions><context contextRef="#c"/>{body}')),
    ]


@pytest.mark.parametrize(
    "content",
    [
        trace_format(X, UP),
        source(header=trace_format(X, UP)),
        source(header=trace_format(X, Y)) + trace_format(X, UP, id="own"),  # the context's own counts
        f"<canvasTransform>{FLIP}</canvasTransform>",
        f"{trace_format(X, UP)}<canvasTransform>{FLIP}</canvasTransform>",  # from values that grow upwards
        f'{trace_format(X, UP)}<canvasTransform><mapping type="identity"/></canvasTransform>',
        f'<canvasTransform invertible="true">{FLIP}<mapping type="unknown"/></canvasTransform>',
        f"<canvas>{trace_format(X, UP, id='canvas')}</canvas>",
        f"{trace_format(X, UP)}<canvas>{trace_format(X, UP, id='canvas')}</canvas>",
        '<canvasTransform><mapping type="affine"><matrix>2 0, 0 -2</matrix></mapping></canvasTransform>',
        '<canvasTransform><mapping type="affine"><matrix>2 0 5 0 -2 5</matrix></mapping></canvasTransform>',
        '<canvasTransform><mapping type="affine"><matrix>1 0 0, 0 -1 0, 0 0 1</matrix></mapping>'
        "</canvasTransform>",
        '<canvasTransform><mapping type="affine"><affine>1 0 0, 0 -1 0</affine></mapping></canvasTransform>',
        '<canvasTransform><mapping type="affine"><bind source="Y"/><bind source="X"/><bind target="X"/>'
        '<bind target="Y"/><matrix>0 1 0, -1 0 0</matrix></mapping></canvasTransform>',
        '<canvasTransform><mapping type="product"><mapping type="identity"><bind target="X"/></mapping>'
        '<mapping type="affine"><bind source="Y"/><bind target="Y"/><matrix>-1 7</matrix></mapping></mapping>'
        "</canvasTransform>",
    ],
)
def test_a_context_counts_however_traces_come_to_it(content: str) -> None:
    assert in_context(content) == [SHAPE] * 4


def test_parts_of_a_context_are_found_by_reference_and_inherited() -> None:
    definitions = (
        f"<definitions>{trace_format(X, UP, id='up')}{trace_format(F, X, Y, id='fxy')}"
        f'{source(header=trace_format(X, UP, id="own"))}<canvas xml:id="page"/>'
        f'<canvasTransform xml:id="flip">{FLIP}</canvasTransform><mapping xml:id="m" type="identity"/>'
        '<context xml:id="a" traceFormatRef="#up" brushRef="#nowhere"/>'
        '<context xml:id="b" inkSourceRef="#s" canvasRef="#page"/>'
        '<context xml:id="c" traceFormatRef="#fxy" canvasTransformRef="#flip"/>'
        '<context xml:id="d" contextRef="#c"/>'
        '<context xml:id="e" contextRef="#d" traceFormatRef="#DefaultTraceFormat"/>'
        f'<context xml:id="f" contextRef="#a">{trace_format(F, X, UP, id="g")}</context></definitions>'
    )
    for id, write in (
        *(("a", "{x:g} -{y:g}"), ("b", "{x:g} -{y:g}"), ("c", "9 {x:g} -{y:g}"), ("d", "9 {x:g} -{y:g}")),
        ("f", "9 {x:g} -{y:g}"),
    ):
        assert shape(ink_of(definitions + traces(write, f'contextRef="#{id}"'))) == SHAPE, id
    assert shape(ink_of(definitions + traces("{x:g} {y:g}", 'contextRef="#DefaultContext"'))) == SHAPE
    assert shape(ink_of(definitions + traces())) == SHAPE, "what nothing refers to does not count"


def test_each_trace_has_its_own_context() -> None:
    ink = ink_of(
        f'<definitions><context xml:id="a">{trace_format(X, UP, id="1")}</context>'
        f'<context xml:id="b">{trace_format(T, Y, X, id="2")}</context></definitions>'
        '<trace contextRef="#a">1 -2</trace><trace contextRef="#b">9 4 3</trace><trace>5 6</trace>'
        f"<context>{trace_format(Y, X, id='3')}</context><trace>8 7</trace>"
        '<traceGroup contextRef="#a"><trace>9 -10</trace><trace contextRef="#b">9 12 11</trace></traceGroup>'
        "<trace>14 13</trace>"
    )
    assert points(ink) == [[[2 * i + 1, 2 * i + 2]] for i in range(7)]


def test_a_trace_format_outside_a_context_counts_for_what_follows() -> None:
    ink = ink_of(
        f"<trace>1 -2</trace>{trace_format(X, UP)}<trace>3 -4</trace>"
        f"{trace_format(T, X, Y)}<trace>0 5 6</trace>"
    )
    assert points(ink) == [[[1, 2]], [[3, 4]], [[5, 6]]]


def test_traces_of_several_units_lie_on_one_page() -> None:
    def format(units: str) -> str:
        return trace_format(channel("X", units=units), channel("Y", units=units))

    ink = ink_of(f"{format('cm')}<trace>1 2</trace>{format('mm')}<trace>30 40</trace>")
    np.testing.assert_allclose(np.concatenate(ink.strokes), [[1, 2], [3, 4]], rtol=1e-6)
    with pytest.raises(InkError, match="units cannot be compared"):
        ink_of(f"{format('cm')}<trace>1 2</trace>{format('dev')}<trace>30 40</trace>")


def test_coordinates_from_several_origins_are_refused() -> None:
    def format(anchor: str) -> str:
        return trace_format(X, channel("Y", respectTo=anchor))

    assert points(ink_of(f"{format('#a')}<trace>1 2</trace><trace>3 4</trace>")) == [[[1, 2]], [[3, 4]]]
    with pytest.raises(InkError, match="respectTo"):
        ink_of(f"{format('#a')}<trace>1 2</trace>{format('#b')}<trace>3 4</trace>")
    time = trace_format(X, Y, channel("T", respectTo="#ts1", units="ms"))
    assert points(ink_of(f"{time}<trace>1 2 3</trace>")) == [[[1, 2]]]


def test_the_only_context_counts_for_traces_that_forget_it_but_need_it() -> None:
    context = f'<context xml:id="c">{source(header=trace_format(F, X, UP))}</context>'
    assert shape(ink_of(f"<definitions>{context}</definitions>" + traces("7 {x:g} -{y:g}"))) == SHAPE
    assert (
        shape(ink_of(f"<definitions>{trace_format(T, X, Y)}</definitions>" + traces("7 {x:g} {y:g}")))
        == SHAPE
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (traces(attributes='contextRef="#nowhere"'), r"contextRef='#nowhere' of <trace>"),
        (traces(attributes='contextRef="other.inkml#c"'), "another document"),
        (traces(attributes='contextRef="http://example.org/c"'), "another document"),
        ('<context traceFormatRef="#x"/>' + traces(), "traceFormatRef='#x' of <context>"),
        ('<context xml:id="a" contextRef="#b"/><context xml:id="b" contextRef="#a"/>' + traces(), "circle"),
        (
            '<definitions><mapping xml:id="m" mappingRef="#m"/></definitions>'
            '<canvasTransform><mapping mappingRef="#m"/></canvasTransform>' + traces(),
            "circle",
        ),
        *(
            (f'<canvasTransform><mapping type="{type}"/></canvasTransform>' + traces(), f"type='{type}'")
            for type in ("lookup", "mathml", "unknown", "magic")
        ),
        *(
            (
                f'<canvasTransform><mapping type="affine"><matrix>{matrix}</matrix></mapping>'
                "</canvasTransform>" + traces(),
                reason,
            )
            for matrix, reason in (
                ("1 0 0, 2 0 0", "no inverse"),
                ("1 0 0", "1 rows"),
                ("1 0 0 0, 0 1 0 0", "expected rows"),
                ("1 x 0, 0 1 0", "could not convert"),
                ("1 inf 0, 0 1 0", "not finite"),
                ("", "expected rows"),
            )
        ),
        (
            '<canvasTransform><mapping type="affine"><bind source="X"/><bind source="Y"/><bind source="Z"/>'
            "<matrix>1 0 1 0, 0 1 0 0</matrix></mapping></canvasTransform>" + traces(),
            "X depends on the channels Z",
        ),
        (
            f"<context>{trace_format(X, UP)}<canvas>{trace_format(X, Y, id='p')}</canvas>"
            '<canvasTransform><mapping type="affine"><matrix>2 0, 0 2</matrix></mapping></canvasTransform>'
            "</context>" + traces(),
            "mirrored",
        ),
        (
            f"<context>{trace_format(X, UP)}<canvas>"
            f"{trace_format(channel('X', orientation='-ve'), Y, id='p')}</canvas></context>" + traces(),
            "contradict",
        ),
        (
            f"<context>{trace_format(channel('X', units='mm'), channel('Y', units='cm'))}"
            '<canvasTransform><mapping type="affine"><matrix>2 0, 0 2</matrix></mapping></canvasTransform>'
            "</context>" + traces(),
            "which unit",
        ),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_the_reason(body: str, reason: str) -> None:
    with pytest.raises(InkError, match=reason):
        ink_of(body)


def test_what_no_trace_uses_is_not_refused() -> None:
    unused = (
        '<definitions><context xml:id="c"><canvasTransform><mapping type="lookup"/></canvasTransform>'
        f"</context>{trace_format(channel('A'))}</definitions>"
    )
    assert shape(ink_of(unused + traces())) == SHAPE


@pytest.mark.parametrize("offset", [0, 10_000, 10**7, 1.7e9, 1.7e12])
def test_detail_is_kept_far_from_the_origin(offset: float) -> None:
    strokes: list[list[tuple[float, float]]] = [[(1.25, 2.5), (4.125, 2)], [(3, 7.75)]]
    body = "".join(
        "<trace>" + ",".join(f"{x + offset!r} {y - offset!r}" for x, y in stroke) + "</trace>"
        for stroke in strokes
    )
    ink = ink_of(body)
    here = np.array([point for stroke in strokes for point in stroke])
    moved = np.concatenate(ink.strokes).astype(np.float64) + np.array(ink.origin) - (offset, -offset)
    np.testing.assert_allclose(moved, here, atol=2e-3)
