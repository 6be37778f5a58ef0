"""XML for the InkML reader: bytes to the root element, safely, and with the common faults repaired.

Nothing is fetched and no entity is expanded. Documents that are not well-formed get one more try after a
repair: annotations with a raw `<` or `&`, a raw `&` or an entity of HTML anywhere, bytes that the encoding
does not have, or a wrong encoding declaration.
"""

from __future__ import annotations

import codecs
import html
import html.entities
import re
from typing import Any

from lxml import etree

from components.ink.ink import InkError

XML_ID = "{http://www.w3.org/XML/1998/namespace}id"

_BOMS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = (  # which of the first bytes are zero, in wide encodings without a byte order mark
    ((False, True, True, True), "utf-32-le"),
    ((True, True, True, False), "utf-32-be"),
    ((False, True, False, True), "utf-16-le"),
    ((True, False, True, False), "utf-16-be"),
)
_SPACE = b" \t\r\n\0"
_DECLARATION = re.compile(r"<\?xml\b[^>]{0,200}\?>")
_DOCTYPE = re.compile(r"""<!DOCTYPE(?:[^\[>"']|"[^"]*"|'[^']*')*(?:\[[^\]]*\]\s*)?>""")
_DECLARED = re.compile(rb"""^\s*<\?xml\b[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_OPENING = re.compile(r"<((?:[\w.-]{1,100}:)?annotation)(?:\s[^<>]{0,1000})?>")
_RAW_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)")
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31};)")  # MathML's and HTML's, which XML does not know
_MATHML = re.compile(r"\s*<(?:[\w.-]{1,100}:)?math[\s/>]")
_ELEMENT = re.compile(r"</|<(?:[\w.-]{1,100}:)?(?:trace|annotation|definitions|context|ink)")
_XML_ENTITIES = ("amp;", "lt;", "gt;", "quot;", "apos;")
_MARKUP = ("<![CDATA[", "<!--")


def looks_like_xml(data: bytes) -> bool:
    """Whether the first character is `<`, in UTF-8, UTF-16 or UTF-32, after white space."""
    head = data[:256]
    for bom, _ in _BOMS:
        head = head.removeprefix(bom)
    return head.lstrip(_SPACE)[:1] == b"<"


def parse_xml(data: bytes) -> etree._Element:
    """The root element. Raises InkError."""
    if not data.strip(_SPACE):
        raise InkError("the file is empty")
    data = _without_doctype(data)
    try:
        root = etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as error:
        repaired = _repaired(data)
        try:
            root = etree.fromstring(repaired, _parser())
        except etree.XMLSyntaxError as second:
            # The first message is about the document as it was sent, unless the encoding was its fault.
            raise _not_well_formed(second if "ncod" in error.msg else error) from None
    dtd: Any = root.getroottree().docinfo.internalDTD
    if dtd is not None and dtd.entities():  # in an encoding that hid them above
        raise InkError("the DOCTYPE declares entities, which are not read: remove the DOCTYPE")
    return root


def _parser() -> etree.XMLParser:
    parser = etree.XMLParser(
        collect_ids=False,  # CROHME's xml:ids are no names ("0:1:"), and not unique
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    parser.resolvers.add(_NOTHING)
    return parser


class _Nothing(etree.Resolver):
    """Keeps files from being read: without `collect_ids`, libxml2 loads the DTD that a DOCTYPE names."""

    # lxml's stubs know neither the third argument nor `resolve_empty`.
    def resolve(self, system_url: str, public_id: str, context: Any) -> Any:  # type: ignore[override]
        return self.resolve_empty(context)  # type: ignore[attr-defined]


_NOTHING = _Nothing()


def _without_doctype(data: bytes) -> bytes:
    """The document without its DOCTYPE: what that refers to is not read, and what it declares is refused."""
    plain = data.replace(b"\0", b"") if b"\0" in data[:64] else data  # ASCII in UTF-16 or UTF-32
    start = plain.find(b"!DOCTYPE")
    if start < 0:
        return data
    for declaration, what in ((b"<!ENTITY", "entities"), (b"<!ATTLIST", "default attributes")):
        if plain.find(declaration, start) >= 0:
            raise InkError(
                f"the DOCTYPE declares {what} ({declaration.decode()}), which are not read because they can "
                "expand without bound: remove the DOCTYPE"
            )
    return _DOCTYPE.sub("", _without_declaration(data), count=1).encode("utf-8", "replace")


def _repaired(data: bytes) -> bytes:
    """The document in UTF-8, with characters escaped that it may not contain."""
    return _escape_annotations(_without_declaration(data)).encode("utf-8", "replace")


def _without_declaration(data: bytes) -> str:
    return _DECLARATION.sub("", _decoded(data).lstrip("\ufeff \t\r\n\0"), count=1)


def _decoded(data: bytes) -> str:
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), None)
    if encoding is None:
        zeros = tuple(byte == 0 for byte in data[:4])
        encoding = next((name for pattern, name in _WIDE if pattern == zeros), None)
    if encoding is None and (declared := _DECLARED.match(data)):
        encoding = declared[1].decode()
        if encoding.lower().startswith(("utf-16", "utf-32", "ucs")):
            encoding = None  # declared wide, but there is no wide "<": a string that was saved as UTF-8
    try:
        return data.decode(encoding or "utf-8", "replace")
    except (LookupError, ValueError):
        return data.decode("utf-8", "replace")


def _escape_annotations(text: str) -> str:
    """Escapes raw `<` and `&` in `<annotation>`, which has no elements in it, and `&` elsewhere.

    One pass over the text.
    """
    parts, at = [], 0
    while opening := _OPENING.search(text, at):
        parts.append(_escape_ampersands(text[at : opening.end()]))
        at = opening.end()
        if opening[0].endswith("/>"):
            continue
        end = text.find(f"</{opening[1]}", at)
        content = text[at:end]
        if end < 0 or _ELEMENT.search(content):  # not closed: no ink may become text
            break
        if not content.lstrip().startswith(_MARKUP):
            content = _RAW_AMPERSAND.sub("&amp;", content).replace("<", "&lt;")
        parts.append(content)
        at = end
    return "".join([*parts, _escape_ampersands(text[at:])])


def _escape_ampersands(text: str) -> str:
    """Entities of HTML as their characters, and other raw ampersands escaped."""
    return _RAW_AMPERSAND.sub("&amp;", _NAMED.sub(_character, text))


def _character(entity: re.Match[str]) -> str:
    name = entity[1]
    known = name not in _XML_ENTITIES and html.entities.html5.get(name)
    return html.escape(known) if known else entity[0]


def _not_well_formed(error: etree.XMLSyntaxError) -> InkError:
    if "depth" in error.msg:
        return InkError("elements are nested more than 256 deep")
    if "XML_PARSE_HUGE" in error.msg:
        return InkError("one element is larger than 10 MB: too many points")
    line: Any = error.lineno
    return InkError(
        f"not well-formed XML, line {line}: {error.msg}. Write < in text as &lt; and & as &amp;, and close "
        "every element"
    )


def local_name(element: etree._Element) -> str:
    """An element's name without its namespace."""
    tag: str = element.tag
    return tag[tag.rfind("}") + 1 :]


def id_of(element: etree._Element) -> str:
    """The `id` or `xml:id`; empty if there is none."""
    return element.get("id") or element.get(XML_ID) or ""


def text_of(element: etree._Element) -> str:
    """All text in an element."""
    return "".join(map(str, element.itertext())) if len(element) else element.text or ""


def type_of(element: etree._Element) -> str:
    """The `type` in lower case; empty if there is none."""
    return (element.get("type") or "").strip().lower()


def mathml_in(element: etree._Element) -> str | None:
    """The MathML in an annotation: a `<math>` with something in it, or the text of one."""
    math = next(element.iter("{*}math"), None)
    if math is not None:
        return etree.tostring(math, encoding="unicode", with_tail=False) if len(math) else None
    text = text_of(element).strip()
    return _escape_ampersands(text) if is_mathml(text) else None


def is_mathml(text: str) -> bool:
    """Whether a text is the source of a `<math>`."""
    return _MATHML.match(text) is not None
