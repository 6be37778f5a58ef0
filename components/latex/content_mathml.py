r"""Content MathML to LaTeX: `<apply><divide/><ci>a</ci><cn>2</cn></apply>` → `\frac{a}{2}`.

Content says what a formula means, not how it was written; each operator gets its usual notation. Operators
that have none, or several, are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable

from lxml import etree

from components.latex.normalizer import LabelError

Convert = Callable[[etree._Element], str]

_CONSTANTS = {
    "pi": r"\pi ", "exponentiale": "e", "imaginaryi": "i", "infinity": r"\infty ", "emptyset": r"\emptyset ",
    "eulergamma": r"\gamma ",
}  # fmt: skip
_ROW = r" \\ "
_SUM, _PRODUCT, _UNARY, _ATOM = 3, 4, 5, 9
_INFIX: dict[str, tuple[str, int]] = {
    "implies": (r"\Rightarrow ", 0), "equivalent": (r"\equiv ", 0), "or": (r"\vee ", 1),
    "xor": (r"\oplus ", 1), "and": (r"\wedge ", 1), "eq": ("=", 2), "neq": (r"\ne ", 2),
    "lt": ("<", 2), "gt": (">", 2),
    "leq": (r"\le ", 2), "geq": (r"\ge ", 2), "approx": (r"\approx ", 2), "tendsto": (r"\rightarrow ", 2),
    "in": (r"\in ", 2), "notin": (r"\notin ", 2), "subset": (r"\subseteq ", 2), "prsubset": (r"\subset ", 2),
    "factorof": ("|", 2), "union": (r"\cup ", 3), "intersect": (r"\cap ", 3), "setdiff": (r"\backslash ", 3),
    "plus": ("+", _SUM), "times": ("", _PRODUCT), "compose": (r"\circ ", _PRODUCT),
    "cartesianproduct": (r"\times ", _PRODUCT), "vectorproduct": (r"\times ", _PRODUCT),
    "scalarproduct": (r"\cdot ", _PRODUCT), "outerproduct": (r"\otimes ", _PRODUCT),
}  # fmt: skip
_FUNCTIONS = frozenset(
    (
        *("sin", "cos", "tan", "sec", "csc", "cot", "sinh", "cosh", "tanh", "coth"),
        *("arcsin", "arccos", "arctan", "ln", "exp", "gcd", "det", "max", "min", "arg"),
    )
)
_FENCES = {
    "abs": ("|", "|"), "card": ("|", "|"), "floor": (r"\lfloor ", r"\rfloor "),
    "ceiling": (r"\lceil ", r"\rceil "), "determinant": ("|", "|"),
}  # fmt: skip
_BIG = {"sum": r"\sum ", "product": r"\prod ", "int": r"\int "}
_QUALIFIERS = frozenset(
    ("bvar", "lowlimit", "uplimit", "degree", "logbase", "domainofapplication", "condition")
)
_CLOSED = ("[", "]")
_INTERVALS = {"open": ("(", ")"), "closed": _CLOSED, "open-closed": ("(", "]"), "closed-open": ("[", ")")}

CONTENT = frozenset(("apply", "reln", "ci", "cn", "csymbol", "vector", "matrix", "matrixrow", "set", "list"))
CONTENT |= frozenset(("interval", "piecewise", *_CONSTANTS))


def content_latex(element: etree._Element, presentation: Convert) -> str:
    """Convert a content element to LaTeX; `presentation` converts presentation MathML in it."""
    return _Content(presentation).latex(element)[0]


class _Content:
    """LaTeX with its precedence: what binds less than it should gets parentheses."""

    def __init__(self, presentation: Convert) -> None:
        self._presentation = presentation

    def latex(self, element: etree._Element) -> tuple[str, int]:
        name = _name(element)
        if name in _CONSTANTS:
            return _CONSTANTS[name], _ATOM
        if name in ("ci", "csymbol"):
            return self._identifier(element), _ATOM
        if name == "cn":
            return self._number(element)
        if name in ("apply", "reln"):
            return self._apply(element)
        if name in CONTENT:
            return self._collection(element, name), _ATOM
        return self._presentation(element), _ATOM

    def _inner(self, element: etree._Element, precedence: int = 0) -> str:
        latex, own = self.latex(element)
        return latex if own >= precedence else f"({latex})"

    def _identifier(self, element: etree._Element) -> str:
        if len(element):
            return " ".join(self._presentation(child) for child in element)
        mi = etree.Element("mi")
        mi.text = element.text
        return self._presentation(mi)

    def _number(self, element: etree._Element) -> tuple[str, int]:
        parts = [part for text in element.itertext() if (part := str(text).strip())]
        type = element.get("type", "real")
        if len(parts) == 1 and type in ("real", "integer", "constant", "decimal", "double"):
            return parts[0].replace("\u2212", "-"), _SUM if parts[0][0] in "-\u2212" else _ATOM
        if len(parts) == 2 and type == "rational":
            return rf"\frac{{{parts[0]}}}{{{parts[1]}}}", _ATOM
        if len(parts) == 2 and type == "e-notation":
            return rf"{parts[0]}\times 10^{{{parts[1]}}}", _PRODUCT
        raise LabelError(
            f"the label's MathML has <cn type={type!r}> with {len(parts)} parts, which is not supported"
        )

    def _apply(self, element: etree._Element) -> tuple[str, int]:
        if not len(element):
            raise LabelError("the label's MathML has an <apply> without an operator")
        operator, *rest = element
        arguments = [child for child in rest if _name(child) not in _QUALIFIERS]
        qualifiers = {_name(child): child for child in rest if _name(child) in _QUALIFIERS}
        name = _name(operator)
        if name in _INFIX and (len(arguments) > 1 or name == "plus"):
            sign, precedence = _INFIX[name]
            return self._joined(arguments, sign, precedence), precedence
        match name, arguments:
            case "minus", [only]:
                return f"-{self._inner(only, _PRODUCT)}", _SUM
            case "minus", [first, second]:
                return f"{self._inner(first, _SUM)}-{self._inner(second, _PRODUCT)}", _SUM
            case "divide", [upper, lower]:
                return rf"\frac{{{self._inner(upper)}}}{{{self._inner(lower)}}}", _ATOM
            case "power", [base, exponent]:
                return f"{{{self._inner(base, _ATOM)}}}^{{{self._inner(exponent)}}}", _ATOM - 1
            case "root", [body]:
                degree = self._content(qualifiers.get("degree"))
                return rf"\sqrt{f'[{{{degree}}}]' if degree else ''}{{{self._inner(body)}}}", _ATOM
            case "factorial", [body]:
                return f"{self._inner(body, _ATOM)}!", _ATOM - 1
            case "not", [body]:
                return rf"\neg {self._inner(body, _ATOM)}", _UNARY
            case "conjugate" | "mean", [body]:
                return rf"\overline{{{self._inner(body)}}}", _ATOM
            case "transpose", [body]:
                return f"{{{self._inner(body, _ATOM)}}}^{{T}}", _ATOM - 1
            case "inverse", [body]:
                return f"{{{self._inner(body, _ATOM)}}}^{{-1}}", _ATOM - 1
            case "selector", [body, *places]:
                return f"{{{self._inner(body, _ATOM)}}}_{{{','.join(map(self._inner, places))}}}", _ATOM
            case "log", [body]:
                index = self._content(qualifiers.get("logbase"))
                return rf"\log {f'_{{{index}}}' if index else ''}{self._argument(body)}", _UNARY
            case "limit", [body]:
                return self._limit(qualifiers, body), _UNARY
            case "diff" | "partialdiff", [body]:
                return self._derivative(name, rest, body), _UNARY
            case "forall" | "exists", _:
                return self._quantified(name, rest, arguments), 0
        if name in _FENCES and len(arguments) == 1:
            opening, closing = _FENCES[name]
            return f"{opening}{self._inner(arguments[0])}{closing}", _ATOM
        if name in _BIG and len(arguments) == 1:
            return self._big(name, qualifiers, arguments[0]), _UNARY
        if name in _FUNCTIONS and arguments:
            if len(arguments) == 1 and name not in ("max", "min"):
                return rf"\{name} {self._argument(arguments[0])}", _UNARY
            return rf"\{name} ({','.join(map(self._inner, arguments))})", _ATOM
        if name in ("ci", "csymbol", "apply"):
            function = self._inner(operator, _ATOM)
            return f"{function}({','.join(map(self._inner, arguments))})", _ATOM
        raise LabelError(
            f"the label's content MathML has <{name}/> with {len(arguments)} arguments, which is not "
            "supported"
        )

    def _joined(self, arguments: list[etree._Element], sign: str, precedence: int) -> str:
        """Between signs; a minus before an argument of a sum is its sign."""
        parts = [self._inner(argument, precedence + (place > 0)) for place, argument in enumerate(arguments)]
        if sign == "+":
            parts = [self._inner(argument, precedence) for argument in arguments]
            return "".join(f"+{part}" if not part.startswith("-") else part for part in parts).removeprefix(
                "+"
            )
        if sign == "" and any(_name(argument) == "cn" for argument in arguments[1:]):
            sign = r"\times "
        return sign.join(parts)

    def _argument(self, element: etree._Element) -> str:
        """Of a function: `\\sin x`, `\\sin (x+1)`."""
        return self._inner(element, _PRODUCT)

    def _content(self, qualifier: etree._Element | None) -> str:
        return "" if qualifier is None else " ".join(map(self._inner, qualifier))

    def _big(self, name: str, qualifiers: dict[str, etree._Element], body: etree._Element) -> str:
        variable = self._content(qualifiers.get("bvar"))
        low, high = self._content(qualifiers.get("lowlimit")), self._content(qualifiers.get("uplimit"))
        domain = qualifiers.get("domainofapplication", qualifiers.get("condition"))
        if domain is not None:
            low = self._content(domain)
        elif low and variable and name != "int":
            low = f"{variable}={low}"
        signs = _BIG[name] + (f"_{{{low}}}" if low else "") + (f"^{{{high}}}" if high else "")
        if name == "int":
            return f"{signs}{self._inner(body)}{f'd{variable}' if variable else ''}"
        return signs + self._inner(body, _PRODUCT)

    def _limit(self, qualifiers: dict[str, etree._Element], body: etree._Element) -> str:
        low = self._content(qualifiers.get("condition"))
        if not low:
            variable, value = (self._content(qualifiers.get(name)) for name in ("bvar", "lowlimit"))
            low = rf"{variable}\rightarrow {value}"
        return rf"\lim _{{{low}}}{self._inner(body, _PRODUCT)}"

    def _derivative(self, name: str, rest: list[etree._Element], body: etree._Element) -> str:
        sign = "d" if name == "diff" else r"\partial "
        variables, total = "", 0
        for variable in (child for child in rest if _name(child) == "bvar"):
            degree = next((child for child in variable if _name(child) == "degree"), None)
            order = self._content(degree) or "1"
            if not order.isdecimal():
                raise LabelError("the label's content MathML has a derivative of a degree that is no number")
            inner = " ".join(self._inner(child) for child in variable if child is not degree)
            variables += sign + (inner if order == "1" else f"{_braced(inner)}^{{{order}}}")
            total += int(order)
        if not total:
            return f"{{{self._inner(body, _ATOM)}}}^{{\\prime }}"
        order = "" if total == 1 else f"^{{{total}}}"
        return rf"\frac{{{sign.strip()}{order} {self._inner(body, _PRODUCT)}}}{{{variables}}}"

    def _quantified(self, name: str, rest: list[etree._Element], arguments: list[etree._Element]) -> str:
        variables = ",".join(self._content(child) for child in rest if _name(child) == "bvar")
        conditions = [self._content(child) for child in rest if _name(child) == "condition"]
        return f"\\{name} {','.join([variables, *conditions, *map(self._inner, arguments)])}"

    def _collection(self, element: etree._Element, name: str) -> str:
        if name == "matrix":
            rows = (" & ".join(map(self._inner, row)) for row in element.iterchildren("{*}matrixrow"))
            return rf"\begin{{pmatrix}}{_ROW.join(rows)}\end{{pmatrix}}"
        if name == "piecewise":
            return rf"\begin{{cases}}{_ROW.join(self._piece(piece) for piece in element)}\end{{cases}}"
        items = [self._inner(child) for child in element]
        match name:
            case "set":
                return rf"\{{{','.join(items)}\}}"
            case "list":
                return f"({','.join(items)})"
            case "interval":
                opening, closing = _INTERVALS.get(element.get("closure", "closed"), _CLOSED)
                return f"{opening}{','.join(items)}{closing}"
            case "vector":
                return rf"\begin{{pmatrix}}{_ROW.join(items)}\end{{pmatrix}}"
        raise LabelError(f"the label's content MathML has <{name}> in a place where it is not supported")

    def _piece(self, piece: etree._Element) -> str:
        return " & ".join(map(self._inner, piece))


def _braced(latex: str) -> str:
    return latex if len(latex) == 1 else f"{{{latex}}}"


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname
