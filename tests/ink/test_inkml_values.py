"""The grammar of a trace's values: differences, wildcards, hexadecimal, booleans, missing spaces."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ink.ink import InkError
from tests.ink.documents import channel, ink_of, points, trace_format

XY = (channel("X"), channel("Y"))
XYF = (*XY, channel("F"))
FXY = (channel("F"), *XY)


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ("10 20,'1'2,3 4", [[10, 20], [11, 22], [14, 26]]),  # the order holds until the next one
        ("10 20,'1'-2,!5 4,6 1", [[10, 20], [11, 18], [5, 22], [6, 23]]),  # for its own channel
        ("1125 18432,'23'43,\"7\"-8,3-5", [[1125, 18432], [1148, 18475], [1178, 18510], [1211, 18540]]),
        ('0 0,"2"1,0 0', [[0, 0], [2, 1], [4, 2]]),  # a second difference to a point at rest
        ('0 0,5 5,"1"1', [[0, 0], [5, 5], [11, 11]]),  # to the difference of two points
        ("10 20, ' 1 ' - 2", [[10, 20], [11, 18]]),
        ("10 20,*5,6*", [[10, 20], [10, 5], [6, 5]]),
        ("10 20,'1'1,* *,1 1", [[10, 20], [11, 21], [12, 22]]),  # the repeated point is one point
        ("-10-20,-1.5-2.5,.5-.5", [[-10, -20], [-1.5, -2.5], [0.5, -0.5]]),
        ("1e1-2e-1,3+4", [[10, -0.2], [3, 4]]),
        ("#A #1f,-#A-#F,#0#10", [[10, 31], [-10, -15], [0, 16]]),
        ("#1E-5,#E5 6", [[30, -5], [229, 6]]),
        ("1 2,? 5,3 4", [[1, 2], [3, 4]]),  # a point without a position is left out
        ("1 2,? ?,3 4", [[1, 2], [3, 4]]),
        ("1 2 5:,3 4 6", [[1, 2], [3, 4]]),
        ("5 6", [[5, 6]]),
    ],
)
def test_values_mean_what_the_standard_says(trace: str, expected: list[list[float]]) -> None:
    header = trace_format(*XYF) if ":" in trace else ""
    [stroke] = points(ink_of(f"{header}<trace>{trace}</trace>"))
    assert np.array_equal(np.array(stroke, np.float32), np.array(expected, np.float32))


@pytest.mark.parametrize(
    "trace",
    [
        "1 2 ?,3 4 ?",
        "1 2 T,3 4 F",
        "1 2 '3,3 4 5",
        "1 2*,3 4*",
        "1 2 #FF,3 4 #F0",
        "1 2-3,3 4-5",
        "1 2 T,3 4 *",
    ],
)
def test_what_other_channels_say_changes_nothing(trace: str) -> None:
    assert points(ink_of(f"{trace_format(*XYF)}<trace>{trace}</trace>")) == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    "trace", ["5-1 2,5-3 4", "T-1 2,F-3 4", "?-1 2,?-3 4", "#F-1 2,'1-3 4", "5.5-1 2,*-3 4"]
)
def test_channels_before_x_may_be_written_without_spaces(trace: str) -> None:
    assert points(ink_of(f"{trace_format(*FXY)}<trace>{trace}</trace>")) == [[[-1, 2], [-3, 4]]]


BUTTON = channel("B1", type="boolean", default="F")


@pytest.mark.parametrize(
    "trace",
    [
        "1 2 5:T,3 4 5:F",
        "1 2 5 T,3 4 5 F",
        "1 2 5,3 4 5 T",
        "1 2 5T,3 4 5",
        "1 2 5:,3 4 5:T",
        "1 2,3 4",
        "1 2 5,3 4 5",
    ],
)
def test_intermittent_channels_may_have_values_at_some_points(trace: str) -> None:
    header = trace_format(*XYF, intermittent=BUTTON)
    assert points(ink_of(f"{header}<trace>{trace}</trace>")) == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ("1 1 T,2 2 T,3 3 F,4 4 F,5 5 T", [[[1, 1], [2, 2]], [[5, 5]]]),
        ("1 1 F,2 2 F,3 3 T", [[[3, 3]]]),
        ("1 1 1,2 2 0,3 3 1", [[[1, 1]], [[3, 3]]]),
        ("1 1 T,'1'1*,1 1 F,1 1 T", [[[1, 1], [2, 2]], [[4, 4]]]),
    ],
)
def test_channel_s_lifts_the_pen(trace: str, expected: list[list[list[float]]]) -> None:
    header = trace_format(*XY, channel("S", type="boolean"))
    assert points(ink_of(f"{header}<trace>{trace}</trace>")) == expected


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        ("'1'2,3 4", "no value before it"),
        ("* 2", "none before it"),
        ("1 2,? 3,'1 4", "no value before it"),  # a difference to nothing
        ("T 2", "truth value"),
        ("1 2,x 4", "'x 4'"),
        ("1 2,#G 4", "'#G 4'"),
        ("1 2;3 4", "'1 2;3 4'"),
        ("1 2,3 '", "has something"),
        ("1 2,3 4:T", "2 values before a colon, but traceFormat has 3"),
        ("1 2 3,4 5", "point 2 has 2 values"),
        ("1 2 3 4 5 6,1 2 3 4 5 6", "3 regular and 0 intermittent"),
        ("1 2,3 ?" + " 4" * 600, "too long"),
    ],
)
def test_what_is_no_value_is_refused_with_its_place(trace: str, reason: str) -> None:
    with pytest.raises(InkError, match=reason):
        ink_of(f'{trace_format(*XYF)}<trace id="t">{trace}</trace>')


@pytest.mark.parametrize("number", ["1e999", "#" + "F" * 300, "nan", "inf", "1_0", "\u0663"])
def test_what_is_no_finite_number_is_refused(number: str) -> None:
    with pytest.raises(InkError):
        ink_of(f"<trace>1 2,{number} 3</trace>")
    with pytest.raises(InkError):
        ink_of(f"<trace>1 2,'{number} 3</trace>")


def test_differences_do_not_overflow_into_ink() -> None:
    with pytest.raises(InkError, match="finite"):
        ink_of("<trace>1 2,'1e308'1,1e308 1,1e308 1</trace>")


numbers = st.integers(-99_999, 99_999)


@st.composite
def coded(draw: st.DrawFn) -> tuple[list[tuple[int, int]], str]:
    """Points, and a trace that means them: each value explicit, a difference or a wildcard."""
    positions = draw(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12))
    orders, written = ["!", "!"], []
    for place in range(len(positions)):
        point = ""
        for axis in (0, 1):
            values = [p[axis] for p in positions[: place + 1]]
            first = values[-1] - values[-2] if place else 0
            second = first - (values[-2] - values[-3] if place > 1 else 0)
            order = draw(st.sampled_from("!'\"" if place else "!"))
            number = {"!": values[-1], "'": first, '"': second}[order]
            if place and not first and draw(st.booleans()):
                point += draw(st.sampled_from(["*", " *", " * "]))
                continue
            text = _spelled(draw, number)
            if order != orders[axis] or draw(st.booleans()):
                text = order + draw(st.sampled_from(["", " "])) + text
            orders[axis] = order
            glued = not point or text[0] in "!'\"-+#" or point[-1] in "* "
            point += text if glued and draw(st.booleans()) else f" {text}"
        written.append(point)
    return positions, draw(st.sampled_from([",", ", ", " ,\n"])).join(written)


def _spelled(draw: st.DrawFn, number: int) -> str:
    sign = "-" if number < 0 else draw(st.sampled_from(["", "", "+"]))
    digits = draw(
        st.sampled_from([f"{abs(number)}", f"#{abs(number):X}", f"{abs(number)}.0", f"{abs(number)}.e0"])
    )
    return sign + digits


@settings(deadline=None)
@given(coded())
def test_every_spelling_of_points_gives_the_points(sample: tuple[list[tuple[int, int]], str]) -> None:
    positions, trace = sample
    distinct = [p for i, p in enumerate(positions) if i == 0 or p != positions[i - 1]]
    assert points(ink_of(f"<trace>{trace}</trace>")) == [[list(map(float, p)) for p in distinct]]


@settings(deadline=None)
@given(st.text("0123456789 .,-+'\"!*?#TFe:ABC", max_size=40), st.sampled_from([(), XY, XYF, FXY]))
def test_any_text_gives_finite_points_or_an_ink_error(trace: str, channels: tuple[str, ...]) -> None:
    try:
        ink = ink_of((trace_format(*channels) if channels else "") + f"<trace>{trace}</trace>")
    except InkError:
        return
    assert all(math.isfinite(value) for stroke in points(ink) for point in stroke for value in point)
