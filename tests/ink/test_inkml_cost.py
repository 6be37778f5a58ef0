"""What reading costs does not grow with nesting, nor with the views of one trace times its length."""

from __future__ import annotations

import sys

import pytest

from components.ink.inkml import parse_inkml
from components.ink.inkml_traces import Trace
from components.ink.inkml_values import points

TRACE = "<trace>1 2,3 4</trace>"
DEPTH = 200


def frames() -> int:
    """How many Python functions have been called and have not returned."""
    frame, count = sys._getframe(), 0
    while frame.f_back is not None:
        frame, count = frame.f_back, count + 1
    return count


@pytest.mark.parametrize("name", ["traceGroup", "context-free", "definitions"])
def test_nested_elements_are_walked_through_without_recursion(name: str) -> None:
    document = f"<ink>{TRACE}{f'<{name}>' * DEPTH}{TRACE}{f'</{name}>' * DEPTH}</ink>"
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(frames() + DEPTH // 2)
    try:
        ink = parse_inkml(document.encode(), "deep")
    finally:
        sys.setrecursionlimit(limit)
    assert len(ink.strokes) == (1 if name == "definitions" else 2)


def test_a_context_in_an_unknown_element_counts_for_what_follows_it_at_any_depth() -> None:
    channels = "<channel name='X'/><channel name='Y' orientation='-ve'/>"
    flipped = f"<context><traceFormat>{channels}</traceFormat></context>"
    document = f"<ink>{TRACE}<a><b>{flipped}</b></a><traceGroup>{TRACE}</traceGroup></ink>"
    first, second = parse_inkml(document.encode(), "flipped").strokes
    assert first[1, 1] > first[0, 1] and second[1, 1] < second[0, 1]


def test_a_long_trace_is_counted_once_however_many_views_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Trace] = []
    text = Trace.text
    monkeypatch.setattr(Trace, "text", lambda trace: read.append(trace) or text(trace))
    views = "".join(f"<traceView traceDataRef='#a' from='{n}' to='{n + 1}'/>" for n in range(1, 100))
    parse_inkml(f"<ink><trace id='a'>{'1 2,' * 200}3 4</trace>{views}</ink>".encode(), "views")
    assert len(read) < 5


@pytest.mark.parametrize("sign", ["'1 '1", '"1 "1', "!3 !4", "#3 #4"])
def test_only_coded_traces_are_read_with_the_whole_grammar(
    sign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded: list[str] = []

    def counted(*arguments: object) -> object:
        coded.append(str(arguments[0]))
        return points(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("components.ink.inkml_strokes.points", counted)
    ink = parse_inkml(f"<ink>{TRACE * 3}<trace>1 2,{sign}</trace></ink>".encode(), "mixed")
    assert len(ink.strokes) == 4 and coded == [f"1 2,{sign}"]
