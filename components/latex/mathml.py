r"""MathML to LaTeX, for labels: `<mfrac><mi>a</mi><mn>2</mn></mfrac>` → `\frac{a}{2}`.

Presentation MathML is converted here, content MathML in `content_mathml`; a formula may mix both. The result
is for `normalizer.normalize`. What is not known is refused by name: a label must not lose a part.
"""

from __future__ import annotations

import html.entities
import re

from lxml import etree

from components.latex.commands import FUNCTIONS, LARGE, SPELLINGS, SYMBOLS
from components.latex.content_mathml import CONTENT, content_latex
from components.latex.normalizer import LabelError

_GROUPS = frozenset(("math", "mrow", "mstyle", "mpadded", "mtd", "maction", "none"))
_NOT_DRAWN = frozenset(("mspace", "mphantom", "maligngroup", "malignmark", "annotation", "annotation-xml"))
_TEX = ("application/x-tex", "tex", "latex", "application/x-latex", "text/x-latex")
_TOKENS = frozenset(("mi", "mn", "mo", "mtext"))
_INVISIBLE = dict.fromkeys(map(ord, "\u2061\u2062\u2063\u2064\u200b\u200c\u200d\ufeff\u00ad"))
_SPACES = re.compile(r"[\s\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_COMMAND = re.compile(r"\\(?:[A-Za-z]+|[{}|%#&_$])")
_ESCAPED = {"{": r"\{", "}": r"\}", "%": r"\%", "#": r"\#", "&": r"\&", "_": r"\_", "$": r"\$"}
_ESCAPED |= {"^": r"\^", "~": r"\~"}  # accents; else the normalizer refuses them
_ESCAPED |= {
    "\\": r"\backslash ",
    "\u2212": "-",
    "\u2010": "-",
    "\u2032": r"\prime ",
    "\u2033": r"\prime\prime ",
}
_OVER = {
    r"\^": "hat", "\u02c6": "hat", "\u0302": "hat", r"\~": "tilde", "\u02dc": "tilde", "\u0303": "tilde",
    "\u223c": "tilde", "\u00af": "overline", "\u203e": "overline", "\u0305": "overline", "\u0304": "overline",
    "_": "overline", "-": "overline", "\u2212": "overline", "\u2015": "overline", "\u2192": "vec",
    "\u20d7": "vec", "\u21c0": "vec", ".": "dot", "\u02d9": "dot", "\u0307": "dot", "\u00a8": "ddot",
    "\u0308": "ddot", "\u20db": "dddot", "\u02c7": "check", "\u030c": "check", "\u02d8": "breve",
    "\u0306": "breve", "\u00b4": "acute", "\u0301": "acute", "`": "grave", "\u0300": "grave",
    "\u02da": "mathring", "\u030a": "mathring", "\u23de": "overbrace", "\u2190": "overleftarrow",
    "\u2194": "overleftrightarrow",
}  # fmt: skip
_UNDER = dict.fromkeys("_\u00af\u0332\u203e-\u2212\u2015\u0331", "underline") | {"\u23df": "underbrace"}
_ARROWS = {"\u2192": r"\xrightarrow", "\u27f6": r"\xrightarrow", "\u2190": r"\xleftarrow"}
_LIMITS = LARGE | frozenset(
    (r"\lim", r"\max", r"\min", r"\sup", r"\inf", r"\limsup", r"\liminf", r"\det", r"\gcd", r"\Pr")
)
_ROW = r" \\ "
_MAX_DEPTH = 100


def mathml_to_latex(mathml: str) -> str:
    """Convert a `<math>` element to LaTeX, not normalized. Raises LabelError."""
    if "<!DOCTYPE" in mathml:  # without collect_ids, libxml2 would load the DTD
        raise LabelError("the label's MathML has a DOCTYPE")
    try:
        root = etree.fromstring(mathml, _parser())
    except etree.XMLSyntaxError as error:
        raise LabelError(f"the label's MathML is not well-formed: {error.msg}") from None
    latex = _latex(root, 0).strip()
    if not latex:
        raise LabelError("the label's MathML is empty")
    return latex


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        collect_ids=False,  # CROHME's xml:ids are no names
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
    )


def _latex(element: etree._Element, depth: int) -> str:
    name = _name(element)
    if depth > _MAX_DEPTH:
        raise LabelError("the label's MathML is nested too deep")
    if name in _TOKENS:
        return _token("".join(map(str, element.itertext())), name)
    if name in _NOT_DRAWN:
        return ""
    if name in CONTENT:
        return content_latex(element, lambda inner: _latex(inner, depth + 1))
    if name == "semantics":
        return _semantics(element, depth)
    parts = [_latex(child, depth + 1) for child in element]
    if name in _GROUPS:
        return " ".join(parts[:1] if name == "maction" else parts)
    return _construct(element, name, parts)


def _construct(element: etree._Element, name: str, parts: list[str]) -> str:
    """An element with a layout of its own, from its children's LaTeX."""
    match name, parts:
        case "msqrt", _:
            return rf"\sqrt{{{' '.join(parts)}}}"
        case "mroot", [body, degree]:
            return rf"\sqrt[{{{degree}}}]{{{body}}}"
        case "mfrac", [upper, lower]:
            return _fraction(element, upper, lower)
        case "msub", [base, lower]:
            return f"{_base(base)}_{{{lower}}}"
        case "msup", [base, upper]:
            return f"{_base(base)}^{{{upper}}}"
        case "msubsup", [base, lower, upper]:
            return f"{_base(base)}_{{{lower}}}^{{{upper}}}"
        case "munder", [base, lower]:
            return _under_over(base, lower, "")
        case "mover", [base, upper]:
            return _under_over(base, "", upper)
        case "munderover", [base, lower, upper]:
            return _under_over(base, lower, upper)
        case "mmultiscripts", [base, *_]:
            return _multiscripts(element, base, parts)
        case "mfenced", _:
            return _fenced(element, parts)
        case "mtable", _:
            return rf"\begin{{matrix}}{_ROW.join(parts)}\end{{matrix}}"
        case "mtr", _:
            return " & ".join(parts)
        case "mlabeledtr", [_, *cells]:
            return " & ".join(cells)
        case "mprescripts", _:
            return ""
        case "menclose", _:
            return _enclosed(element, " ".join(parts))
        case _:
            raise LabelError(
                f"the label's MathML has <{name}> with {len(parts)} children, which is not supported"
            )


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname


def _token(text: str, name: str) -> str:
    """The text of a token: characters, a function's or symbol's name, or a command, as CROHME writes some."""
    text = _SPACES.sub(" " if name == "mtext" else "", text).strip().translate(_INVISIBLE)
    command = "\\" + text
    if _COMMAND.fullmatch(text):
        return text + " "
    if len(text) > 1 and name in ("mi", "mo") and (command in FUNCTIONS or command in SYMBOLS):
        return command + " "
    if len(text) > 1 and name == "mo" and (character := html.entities.html5.get(text + ";")):
        text = character  # an entity that lost its & and ;
    return "".join(_ESCAPED.get(character, character) for character in text)


def _semantics(element: etree._Element, depth: int) -> str:
    """The formula in a `<semantics>`: the LaTeX among its annotations, else the presentation."""
    for annotation in element.iterchildren("{*}annotation"):
        if (annotation.get("encoding") or "").strip().lower() in _TEX and (annotation.text or "").strip():
            return annotation.text or ""
    return _latex(element[0], depth + 1) if len(element) else ""


def _base(latex: str) -> str:
    """In braces, unless scripts after it are the whole base's anyway."""
    stripped = latex.strip()
    return stripped if len(stripped) == 1 or _COMMAND.fullmatch(stripped) else f"{{{stripped}}}"


def _fraction(element: etree._Element, upper: str, lower: str) -> str:
    if element.get("bevelled") == "true":
        return f"{upper}/{lower}"
    thickness = re.sub(r"[^\d.]", "", element.get("linethickness", "1"))
    if thickness and not float(thickness.strip(".") or "1"):
        return rf"{{{upper} \atop {lower}}}"
    return rf"\frac{{{upper}}}{{{lower}}}"


def _under_over(base: str, lower: str, upper: str) -> str:
    core, above, below = base.strip(), upper.strip(), lower.strip()
    if (letters := "\\" + core.replace(" ", "")) in _LIMITS:  # written letter by letter
        core = letters
    if core in _LIMITS or SPELLINGS.get(core) in _LIMITS:
        return core + (f"_{{{lower}}}" if below else "") + (f"^{{{upper}}}" if above else "")
    if core in _ARROWS:
        return _ARROWS[core] + (f"[{lower}]" if below else "") + f"{{{upper}}}"
    above, below = (script.replace(r"\_", "_") for script in (above, below))
    if above:
        base = rf"\{_OVER[above]}{{{base}}}" if above in _OVER else rf"\overset{{{upper}}}{{{base}}}"
    if below:
        base = rf"\{_UNDER[below]}{{{base}}}" if below in _UNDER else rf"\underset{{{lower}}}{{{base}}}"
    return base


def _multiscripts(element: etree._Element, base: str, parts: list[str]) -> str:
    names = [_name(child) for child in element]
    middle = names.index("mprescripts") if "mprescripts" in names else len(names)
    before, after = _scripts(parts[middle + 1 :]), _scripts(parts[1:middle])
    return (f"{{}}{before}" if before else "") + _base(base) + after


def _scripts(parts: list[str]) -> str:
    if len(parts) not in (0, 2):
        raise LabelError(
            "the label's MathML has <mmultiscripts> with several columns, which is not supported"
        )
    return "".join(f"{sign}{{{part}}}" for sign, part in zip("_^", parts, strict=False) if part.strip())


def _fenced(element: etree._Element, parts: list[str]) -> str:
    open, close = (
        _token(element.get(name, default), "mo") for name, default in (("open", "("), ("close", ")"))
    )
    separators = element.get("separators", ",").split()
    signs = [
        _token(separators[min(i, len(separators) - 1)], "mo") if separators else "" for i in range(len(parts))
    ]
    inner = "".join(f"{sign}{part}" for sign, part in zip(["", *signs], parts, strict=False))
    return f"{open}{inner}{close}"


def _enclosed(element: etree._Element, body: str) -> str:
    notation = element.get("notation", "longdiv").strip()
    match notation:
        case "radical":
            return rf"\sqrt{{{body}}}"
        case "top":
            return rf"\overline{{{body}}}"
        case "bottom":
            return rf"\underline{{{body}}}"
    raise LabelError(f"the label's MathML has <menclose notation={notation!r}>, which is not supported")
