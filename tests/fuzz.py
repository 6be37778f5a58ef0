"""Broken pictures, ink, labels and constraints: very many are read or refused with a reason, within a second.

    make fuzz                       # 100,000 of each
    python -m tests.fuzz 5000       # so many of each

What goes in are real files of every format with bytes flipped, cut, repeated and mixed with one another's. A
test runs a few of them; this runs as many as there is time for.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from lxml import etree
from PIL import Image
from rich.console import Console
from rich.progress import track

from components.ink.inkml import parse_inkml
from components.ink.raster import RasterSettings, draw
from components.latex.commands import ACCENTS, OPTIONAL, PAIRS, SPELLINGS, SYMBOLS
from components.latex.normalizer import normalize
from components.latex.unicode_symbols import CHARACTERS
from components.latex.vocabulary import Vocabulary
from components.recognizer.decoding import DecodingConstraints
from components.recognizer.preprocessing import prepare_picture
from components.serving.schemas.constraints import constraints_in, restriction_of
from components.serving.schemas.problems import Problem
from tests.recognizer.inks import formula

SAMPLE = Path(__file__).parents[1] / "docs" / "sample.inkml"
SLOW = 1.0  # seconds of this process, whatever else the machine does

_SETTINGS = RasterSettings()
_PIXELS = 25_000_000  # what the service takes


def pictures() -> list[bytes]:
    """A picture in every format and mode that is read."""
    grey = Image.fromarray(cv2.resize(draw(formula(), _SETTINGS), None, fx=1.5, fy=1.5))
    files = []
    for format, mode in [
        *((f, m) for f in ("PNG", "TIFF") for m in ("1", "L", "LA", "RGB", "RGBA", "P", "I;16")),
        *(("TIFF", "CMYK"), ("JPEG", "L"), ("JPEG", "RGB"), ("JPEG", "CMYK"), ("WEBP", "RGB")),
        *(("WEBP", "RGBA"), ("BMP", "L"), ("BMP", "RGB"), ("GIF", "P"), ("PPM", "L"), ("PPM", "RGB")),
    ]:
        file = io.BytesIO()
        grey.convert(mode).save(file, format)
        files.append(file.getvalue())
    return files


def inks() -> list[bytes]:
    """InkML as it should be, and nearly so."""
    sample = SAMPLE.read_bytes()
    trace = b"<trace>0 0 1, 8 1e1 2, 9.5 -3 3</trace>"
    return [
        sample,
        b'<ink xmlns="http://www.w3.org/2003/InkML">' + trace * 3 + b"</ink>",
        b'<?xml version="1.0" encoding="UTF-8"?><ink><annotation type="truth">$x^2$</annotation>' + trace
        + b'<traceGroup><traceView traceDataRef="0"/></traceGroup></ink>',
        b"<ink><traceFormat><channel name='X'/><channel name='Y'/></traceFormat>"
        b"<trace id='a'>1 2,'3'4,\"5\"6</trace></ink>",
        b"<ink><definitions><context id='c'><inkSource><traceFormat><channel name='F'/>"
        b"<channel name='X' units='mm'/><channel name='Y' units='cm' orientation='-ve'/>"
        b"<intermittentChannels><channel name='S' type='boolean'/></intermittentChannels></traceFormat>"
        b"<channelProperties><channelProperty channel='X' name='resolution' value='10' units='1/mm'/>"
        b"<channelProperty channel='Y' name='resolution' value='1' units='1/mm'/></channelProperties>"
        b"</inkSource><canvasTransform><mapping type='affine'><matrix>1 0 0, 0 -1 9</matrix></mapping>"
        b"</canvasTransform></context><traceGroup id='g'><trace id='d'>1 2-3,*\"4#F:T</trace></traceGroup>"
        b"</definitions><traceView traceDataRef='#g' from='1:1' to='1:2'/>"
        b"<trace contextRef='#c' id='e'>5 1-2,?3 4 F</trace>"
        b"<trace continuation='end' priorRef='#e' contextRef='#c'>1 2 3</trace></ink>",
        b'<!DOCTYPE ink SYSTEM "ink.dtd"><ink><annotation type="truth">a < b & c</annotation><annotationXML '
        b'type="truth"><math><mfrac><mi>x</mi><mn>2</mn></mfrac></math></annotationXML>' + trace + b"</ink>",
        ('<?xml version="1.0" encoding="utf-16"?><ink>' + trace.decode() + "</ink>").encode("utf-16"),
    ]  # fmt: skip


def broken(seeds: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """So many broken versions of the seeds; the same ones for the same arguments."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(seeds[rng.integers(len(seeds))])
        for _ in range(rng.integers(1, 6)):
            _break(data, seeds, rng)
        yield bytes(data)


def rearranged(count: int, seed: int) -> Iterator[bytes]:
    """So many InkML documents that are well-formed, with elements and attributes where they do not belong."""
    rng = np.random.default_rng(seed)
    seeds = [ink for ink in inks() if b"DOCTYPE" not in ink]
    values = [
        "",
        "X",
        "Y",
        "S",
        "#c",
        "#g",
        "#a",
        "1",
        "2:1",
        "-ve",
        "mm",
        "in",
        "affine",
        "product",
        "boolean",
    ]
    values += ["1 0 0,0 -1 9", "1/mm", "10", "penUp", "middle", "'1", "1e9 -2,*?:T", "3 4,5", "identity"]
    for _ in range(count):
        root = etree.fromstring(seeds[rng.integers(len(seeds))], etree.XMLParser(collect_ids=False))
        for _ in range(rng.integers(1, 6)):
            elements = list(root.iter("{*}*"))
            element, other = (elements[rng.integers(len(elements))] for _ in range(2))
            match rng.integers(5):
                case 0 if element.attrib:
                    name = str(rng.choice(list(element.attrib)))
                    element.set(name, str(rng.choice(values)))
                case 1:
                    element.text = str(rng.choice(values))
                case 2:
                    other.append(deepcopy(element))
                case 3 if element is not root:
                    element.getparent().remove(element)
                case _:
                    names = ("contextRef", "traceDataRef", "from", "to", "type", "units", "orientation", "id")
                    element.set(str(rng.choice(names)), str(rng.choice(values)))
        yield etree.tostring(root)


def _break(data: bytearray, seeds: list[bytes], rng: np.random.Generator) -> None:
    at = int(rng.integers(len(data) + 1)) if rng.random() < 0.7 else int(rng.integers(min(len(data), 64) + 1))
    length = int(rng.integers(1, 33))
    match rng.integers(7):
        case 0 if data:
            data[min(at, len(data) - 1)] ^= 1 << int(rng.integers(8))
        case 1:
            data[at : at + length] = rng.bytes(length)
        case 2:
            del data[at:]
        case 3:
            del data[at : at + length]
        case 4:
            data[at:at] = data[at : at + length] * int(rng.integers(1, 50))
        case 5:
            data[at : at + 4] = bytes([(0, 0xFF, 0x7F, 0x80)[int(rng.integers(4))]]) * 4
        case _:
            other = seeds[rng.integers(len(seeds))]
            start = int(rng.integers(len(other)))
            data[at : at + length] = other[start : start + length]


def read_picture(data: bytes) -> None:
    prepare_picture(data, _SETTINGS, _PIXELS)


def read_ink(data: bytes) -> None:
    draw(parse_inkml(data, "ink").strokes, _SETTINGS)


def constraints(count: int, seed: int) -> Iterator[bytes]:
    """So many constraints of any tokens anywhere; every fourth one is broken JSON."""
    rng = np.random.default_rng(seed)
    known = [*_vocabulary().tokens, r"\sin", r"\geq", r"\alpha", "é", ""]

    def some(most: int) -> list[str]:
        return [str(token) for token in rng.choice(known, int(rng.integers(most + 1)))]

    for number in range(count):
        asked: dict[str, object] = {}
        if rng.random() < 0.6:
            asked["prefix"] = " ".join(some(5)) if rng.random() < 0.5 else some(5)
        if rng.random() < 0.3:
            asked["tokens"] = {str(rng.integers(-1, 42)): token for token in some(5)}
        if rng.random() < 0.3:
            asked["exclude"] = some(4)
        if rng.random() < 0.3:
            asked["vocabulary"] = (
                rng.choice(["digits", "algebra", "calculus"]) if rng.random() < 0.5 else some(9)
            )
        data = json.dumps({"constraints": asked}).encode()
        yield from broken([data], 1, number) if number % 4 == 0 else [data]


def labels(count: int, seed: int) -> Iterator[bytes]:
    """So many labels of LaTeX's commands, environments, Unicode and markup, in any order."""
    rng = np.random.default_rng(seed)
    known = [*SPELLINGS, *SYMBOLS, *ACCENTS, *PAIRS, *OPTIONAL, *CHARACTERS]
    names = ("matrix", "aligned", "array", "cases", "pmatrix*", "gather", "subarray", "equation")
    markup = [
        *"{}{}[]()^_^_&$'%|<>=+-1ax ½²₁ⁿ√̸̂→𝔸ﬁ",
        "\\\\",
        r"\left",
        r"\right",
        r"\not",
        r"\over",
        r"\cr",
        r"\text",
    ]
    markup += [f"\\{end}{{{name}}}" for name in names for end in ("begin", "end")]
    markup += [
        r"\color{red}",
        r"\boxed",
        r"\substack",
        r"\cfrac[l]",
        r"\sqrt[3]",
        r"\matrix",
        r"\hspace{1em}",
    ]
    for _ in range(count):
        parts = [str(rng.choice(markup if rng.random() < 0.7 else known)) for _ in range(rng.integers(1, 14))]
        if rng.random() < 0.5:
            name = rng.choice(names)
            parts = [rf"\begin{{{name}}}", *parts, rf"\end{{{name}}}"]
        yield "".join(parts).encode()


@lru_cache(1)
def _vocabulary() -> Vocabulary:
    symbols = [
        r"\frac",
        r"\sqrt",
        r"\hat",
        r"\begin{matrix}",
        r"\end{matrix}",
        r"\\",
        r"\ge",
        r"\int",
        r"&",
        r"{",
        r"}",
        r"^",
        r"_",
    ]
    return Vocabulary.build([[*symbols, *"0123456789+-=.,()[]abnosxyzimlt", r"\rightarrow"]])


def read_label(data: bytes) -> None:
    """What is accepted stays as it is when it is normalized again."""
    label = normalize(data.decode())
    assert normalize(label) == label, f"{data.decode()!r} becomes {label!r}, and then something else"


def read_constraints(data: bytes) -> None:
    """As the service does before it searches."""
    restriction = restriction_of(constraints_in(data), _vocabulary())
    DecodingConstraints(_vocabulary(), 40, True, restriction)


def outcome(read: Callable[[bytes], None], data: bytes) -> str:
    """How reading ends: "read", or the kind of refusal. Any other exception goes through."""
    start = time.process_time()
    try:
        read(data)
        return "read"
    except (ValueError, Problem) as error:  # PictureError, InkError, nothing to draw
        return type(error).__name__
    finally:
        spent = time.process_time() - start
        assert spent < SLOW, f"{spent:.1f} s for {data[:60]!r}… of {len(data)} bytes"


TARGETS: tuple[tuple[str, Callable[[int], Iterator[bytes]], Callable[[bytes], None]], ...] = (
    ("pictures", lambda count: broken(pictures(), count, 1), read_picture),
    ("ink", lambda count: broken(inks(), count, 1), read_ink),
    ("rearranged ink", lambda count: rearranged(count, 1), read_ink),
    ("labels", lambda count: labels(count, 1), read_label),
    ("constraints", lambda count: constraints(count, 1), read_constraints),
)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    console = Console(stderr=True)
    for name, made, read in TARGETS:
        files = track(made(count), name, total=count, console=console)
        print(name, dict(Counter(outcome(read, data) for data in files).most_common()), flush=True)


if __name__ == "__main__":
    main()
