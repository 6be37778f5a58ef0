r"""Advice about commands that labels cannot have.

The normalizer refuses what it does not know, since to leave it out might lose a part of the formula.
"""

from __future__ import annotations

_MACROS = "macros are not expanded: write out what it stands for"
_REFERENCE = "it refers to another place: leave it out"
_OVERPRINT = "it prints one symbol over another: write the symbols side by side, or the one that is meant"
_CROSSED = r"what is crossed out has no label: leave the stroke out, or write \not before a relation"
_PICTURE = "a picture is no formula: leave it out"
_TEXT_LETTER = "a letter of text that mathematics has no symbol for: write another letter"
_TEXT_ACCENT = r"an accent of text: write \hat, \tilde, \dot, \underline … instead"
_NUMBER = "it prints a character by its number: write the character or its command"
_SETTING = "it changes a setting of TeX: leave it out"
_VERTICAL = r"it builds a paragraph: write rows with \begin{aligned} … \end{aligned}"

_HINTS: dict[str, str] = {
    hint_command: hint
    for commands, hint in {
        "newcommand renewcommand providecommand def edef gdef xdef let DeclareMathOperator newenvironment "
        "DeclarePairedDelimiter expandafter futurelet csname": _MACROS,
        "ref eqref cite citep citet pageref autoref footnote footnotemark index url hyperref": _REFERENCE,
        "rlap llap mathreflectbox reflectbox ooalign overlay mathchoice rotatebox": _OVERPRINT,
        "cancel bcancel xcancel cancelto sout st hcancel": _CROSSED,
        "includegraphics put line vector circle multiput special epsfbox xymatrix tikz feyn": _PICTURE,
        "o O l L ae AE oe OE ss th dh DH TH": _TEXT_LETTER,
        "^ ~ H c d b t k": _TEXT_ACCENT,
        "char symbol mathchar mathaccent unicode delimiter radical": _NUMBER,
        "setlength addtolength unitlength tabcolsep arraycolsep arraystretch renewenvironment setcounter "
        "baselineskip lineskip thicklines global long": _SETTING,
        "vtop vbox parbox item intertext shortintertext vsplit minipage hrule": _VERTICAL,
        "overbracket underbracket overgroup undergroup overparen wideparen overarc": (
            r"write \overbrace, \underbrace or \overline instead"
        ),
        "overwithdelims above abovewithdelims": r"write \frac instead",
        "verb": "verbatim text is no formula: write the characters",
        "iddots adots": r"write \cdots or \ddots instead",
        "of over": "it lacks what stands before it",
    }.items()
    for hint_command in commands.split()
}
_ENVIRONMENTS = {
    "CD": "a diagram is no formula: write its arrows one by one",
    "tikzpicture": _PICTURE,
    "tikzcd": "a diagram is no formula: write its arrows one by one",
    "picture": _PICTURE,
    "center": "leave it out",
    "itemize": "a list is no formula: one label for each item",
    "enumerate": "a list is no formula: one label for each item",
    "numcases": r"write \begin{cases} instead",
    "subnumcases": r"write \begin{cases} instead",
    "bordermatrix": r"write \begin{matrix} instead",
    "verbatim": "verbatim text is no formula: write the characters",
}


def reason_for_command(command: str) -> str:
    """Say why a command is refused, and what to do."""
    hint = _HINTS.get(command[1:], "write it in standard LaTeX (amsmath, amssymb), or leave it out")
    known = "unsupported" if command[1:] in _HINTS else "unknown"
    return f"{known} command {command}: {hint}"


def reason_for_environment(name: str) -> str:
    """Say why an environment is refused, and what to do."""
    hint = _ENVIRONMENTS.get(name, "write it as matrix, array, cases or aligned, or leave it out")
    known = "unsupported" if name in _ENVIRONMENTS else "unknown"
    return f"{known} environment {name}: {hint}"
