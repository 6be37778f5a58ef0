"""XML as it comes: encodings, documents that are not well-formed, DOCTYPE; and inputs made to take long."""

from __future__ import annotations

import html
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from components.data.labels import label_of
from components.ink.ink import InkError
from components.ink.inkml import looks_like_xml, parse_inkml
from tests.ink.documents import document, ink_of, points

BODY = '<annotation type="writer">Zoë</annotation><trace>1 2</trace>'


@pytest.mark.parametrize("bom", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("declared", ["", "utf-8", "utf-16", "UTF-16", "us-ascii"])
def test_unicode_is_read_whatever_is_declared(encoding: str, declared: str, bom: str) -> None:
    declaration = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    data = f"{bom}{declaration}<ink>{BODY}</ink>".encode(encoding)
    assert looks_like_xml(data)
    ink = parse_inkml(data, "x")
    assert points(ink) == [[[1, 2]]]
    if declared not in ("us-ascii",) or encoding != "utf-8":
        assert ink.writer == "Zoë"


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "iso-8859-15", "shift_jis"])
def test_other_encodings_are_read_as_declared(encoding: str) -> None:
    writer = "Zoë" if encoding != "shift_jis" else "漢字"
    text = f'<?xml version="1.0" encoding="{encoding}"?><ink>{BODY.replace("Zoë", writer)}</ink>'
    assert parse_inkml(text.encode(encoding), "x").writer == writer


@pytest.mark.parametrize(
    "head", ["\n \t", "\ufeff\n", '<?xml version="1.1"?>', "<!-- ink -->", "<?app ink?>"]
)
def test_what_comes_before_the_document_does_not_matter(head: str) -> None:
    data = f"{head}<ink>{BODY}</ink>".encode()
    assert looks_like_xml(data)
    assert points(parse_inkml(data, "x")) == [[[1, 2]]]
    assert points(parse_inkml(b"\r\n" + b'<?xml version="1.0"?>' + document("<trace>1 2</trace>"), "x")) == [
        [[1, 2]]
    ]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("$a < b$", "$a < b$"),
        ("$a<b$", "$a<b$"),
        (r"\begin{matrix} a & b \\ c & d \end{matrix}", r"\begin{matrix} a & b \\ c & d \end{matrix}"),
        ("a &lt; b & c", "a < b & c"),
        ("a < b &amp; c &#60; d &#x3c; e", "a < b & c < d < e"),
        ("x &nbsp; y &alpha;", "x &nbsp; y &alpha;"),
        ("a << b < < c", "a << b < < c"),
        ("<![CDATA[a < b & c]]>", "a < b & c"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_annotation_with_raw_markup_is_read(text: str, label: str, encoding: str) -> None:
    body = f'<annotation type="writer">R&D</annotation><annotation type="truth">{text}</annotation>'
    ink = parse_inkml(f"<ink>{body}<trace>1 2</trace></ink>".encode(encoding), "x")
    assert (ink.label, ink.writer, points(ink)) == (label, "R&D", [[[1, 2]]])


@pytest.mark.parametrize(
    ("math", "expected"),
    [
        ("<mi>a</mi><mo>&InvisibleTimes;</mo><mi>b</mi>", "ab"),
        ("<mi>&alpha;</mi><mo>&LT;</mo><mi>&beta;</mi>", r"\alpha<\beta"),
        ("<mi>a</mi><mo>&lt;</mo><mi>b</mi>", "a<b"),
        ("<mi>A</mi><mo>&</mo><mi>B</mi>", r"A\&B"),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_mathml_may_have_entities_of_html(math: str, expected: str, raw: bool) -> None:
    source = f"<math>{math}</math>"
    body = html.escape(source) if raw else source
    ink = ink_of(f'<annotationXML type="truth">{body}</annotationXML><trace>1 2</trace>')
    assert label_of(ink) == expected


def test_a_raw_ampersand_anywhere_is_read() -> None:
    ink = parse_inkml(b'<ink documentID="a&b"><trace brushRef="x?a=1&c=2">1 2</trace></ink>', "x")
    assert points(ink) == [[[1, 2]]]
    with pytest.raises(InkError, match="not a number"):
        ink_of("<trace>1 & 2</trace>")


def test_a_prefix_does_not_hinder_the_repair() -> None:
    data = b'<i:ink xmlns:i="u"><i:annotation type="truth">a < b</i:annotation><i:trace>1 2</i:trace></i:ink>'
    assert parse_inkml(data, "x").label == "a < b"


@pytest.mark.parametrize(
    "body",
    [
        '<annotation type="truth">a < b<trace>1 2</trace>',  # not closed
        '<annotation type="truth">a <trace>1 2</trace><annotation>b & c</annotation>',
        "<trace>1 < 2</trace>",
        "<trace>1 2</trace></annotation>",
        '<annotation type="a<b">x</annotation><trace>1 2</trace>',
    ],
)
def test_no_repair_makes_ink_of_text_or_text_of_ink(body: str) -> None:
    with pytest.raises(
        InkError, match=r"not well-formed XML, line 1: .*Write < in text as &lt; and & as &amp;"
    ):
        ink_of(body)


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(socket, "socket", None)
    (tmp_path / "a.dtd").write_text("not a DTD")
    for doctype in (
        '<!DOCTYPE ink SYSTEM "http://127.0.0.1:9/inkml.dtd">',
        '<!DOCTYPE ink PUBLIC "-//W3C//DTD InkML 1.0//EN" "http://127.0.0.1:9/inkml.dtd">',
        "<!DOCTYPE ink>",
        f"<!DOCTYPE ink SYSTEM '{tmp_path}/a.dtd'>",
        '<!DOCTYPE ink SYSTEM "file:///dev/zero">',
        f'<!DOCTYPE ink SYSTEM "file://{tmp_path}/a.dtd" [<!ELEMENT trace (#PCDATA)>]>',
    ):
        for encoding in ("utf-8", "utf-16"):
            data = f"{doctype}<ink><trace>1 2</trace></ink>".encode(encoding)
            assert points(parse_inkml(data, "x")) == [[[1, 2]]]
    hidden = (
        '<?xml version="1.0" encoding="utf-7"?><!DOCTYPE ink SYSTEM "/dev/zero"><ink><trace>1 2</trace></ink>'
    )
    with pytest.raises(InkError):
        parse_inkml(hidden.replace("!DOCTYPE", "+ACE-DOCTYPE").encode(), "x")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "declaration", ['<!ENTITY e "1 2">', '<!ENTITY % p SYSTEM "x">', '<!ATTLIST t a CDATA "1">']
)
def test_a_doctype_that_declares_something_is_refused(declaration: str, encoding: str) -> None:
    data = f"<!DOCTYPE ink [{declaration}]><ink><trace>1 2</trace></ink>".encode(encoding)
    with pytest.raises(InkError, match="DOCTYPE declares"):
        parse_inkml(data, "x")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n",
        b"\xff\xd8\xff",
        b"RIFF",
        b"II*\0",
        b"MM\0*",
        b"BM",
        b"GIF8",
        b"P6 1 1",
        b"{}",
        b"\xff\xfe",
    ],
)
def test_what_is_no_xml_does_not_look_so(data: bytes) -> None:
    assert not looks_like_xml(data)


def _long(unit: str, before: str = "", after: str = "") -> bytes:
    """A document of a megabyte."""
    return document(before + unit * (1_000_000 // len(unit)) + after)


@pytest.mark.parametrize(
    "data",
    [
        _long("<trace>1 2</trace>"),
        _long("<trace>1 2,'1'1</trace>"),
        _long("'1'1,", "<trace>1 1,", "</trace>"),
        _long("**,", "<trace>1 1,", "</trace>"),
        _long(" ", "<trace>1 '", "x</trace>"),
        _long("F", "<trace>1 #", "</trace>"),
        _long('<trace type="indeterminate">1 2</trace>'),
        _long('<traceView traceDataRef="#a"/>', '<trace id="a">1 2</trace>'),
        _long(
            '<traceView traceDataRef="#g"/>',
            f'<definitions><traceGroup id="g">{"<trace>1 2</trace>" * 20_000}</traceGroup></definitions>',
        ),
        document(
            '<definitions><trace id="v0">1 2</trace>'
            + "".join(
                f'<traceView id="v{i}"><traceView traceDataRef="#v{i - 1}"/>'
                f'<traceView traceDataRef="#v{i - 1}"/></traceView>'
                for i in range(1, 60)
            )
            + '</definitions><traceView traceDataRef="#v59"/>'
        ),
        document(
            "<definitions>"
            + "".join(f'<context id="c{i}" contextRef="#c{i - 1}"/>' for i in range(20_000))
            + '</definitions><trace contextRef="#c19999">1 2</trace>'
        ),
        _long("<definitions/>", after="<trace>1 2 3</trace>" * 10_000),
        _long("<trace>1 2 3,4 5 6</trace>", f"<definitions>{'<context/>' * 10_000}</definitions>"),
        _long("<annotation>", after="<"),
        _long("<annotation x", after="<"),
        _long("&#", "<annotation>", "</annotation><trace>1 2</trace>"),
        _long(
            "1 ", '<canvasTransform><mapping type="affine"><matrix>', "</matrix></mapping></canvasTransform>"
        ),
    ],
    ids=range(17),
)
def test_a_megabyte_never_takes_long(data: bytes) -> None:
    begun = time.process_time()
    with suppress(InkError):
        parse_inkml(data, "x")
    assert time.process_time() - begun < 10  # alone under a second; what is not linear takes minutes
