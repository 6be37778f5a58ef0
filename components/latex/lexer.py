r"""Text to lexemes: characters, commands and `\begin{…}`, spelt as the normalizer's alphabet spells them.

What is not drawn is dropped here: spaces, comments, fonts; labels, colours and sizes with their arguments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from components.latex.commands import (
    ENVIRONMENT_ARGUMENTS,
    INVISIBLE,
    SPELLINGS,
    SYMBOLS,
    UNREAD,
)
from components.latex.errors import LabelError
from components.latex.unicode_symbols import expand

MAX_LENGTH = 10_000  # characters; the longest of 66,000 real formulas has 504

_LENGTH = r"(?:[-+]\s*)?(?:\d+(?:\.\d*)?|\.\d+)\s*(?:pt|em|ex|mm|cm|in|mu|bp|pc|dd|cc|sp)(?![a-zA-Z])"
_GLUE = rf"{_LENGTH}(?:\s*(?:plus|minus)\s*(?:{_LENGTH}|[\d.]+\s*fil+))*"
_LEXEME = re.compile(
    rf"(?P<row>\\\\(?:\*(?:\[{_LENGTH}\])?|\[{_LENGTH}\]))"  # a row's end with extra space
    rf"|(?P<space>\s+|\\\s|\\(?:m?kern|[hmv]skip)\s*{_GLUE}|\\(?:raise|lower|moveleft|moveright)\s*{_LENGTH}"
    rf"|\\hbox\s*(?:to|spread)\s*{_LENGTH})"
    r"|(?P<comment>%[^\n]*\n)"
    r"|\\(?P<edge>begin|end)\s*\{\s*(?P<environment>[a-zA-Z]+)\s*(?P<star>\*?)\s*\}"
    r"|(?P<parallel>\\(?:not|centernot)\s*(?P<brace>\{\s*)?"  # their bars would be two symbols
    r"(?:\\(?:parallel|shortparallel|[lr]?Vert)(?![a-zA-Z])|\\\||∥|‖)(?(brace)\s*\}))"
    r"|(?P<starred>\\(?:operatorname|[hv]space|tag|abs|norm))\*"
    r"|(?P<strut>\\v?rule(?![a-zA-Z]))"
    r"|(?P<other>\\[a-zA-Z]+|\\.|[^\\])",
    re.DOTALL,
)
_SPELLING = re.compile(r"\\[a-zA-Z]+|\\.|[^\\]")
_ENTITY = re.compile(r"&(lt|gt|amp|nbsp|le|ge|ne|minus|times|middot|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_ENTITIES = {
    "lt": "<", "gt": ">", "amp": "&", "nbsp": " ", "le": "≤", "ge": "≥", "ne": "≠", "minus": "−",
    "times": "×", "middot": "·",
}  # fmt: skip
_SPACE = re.compile(r"\s*")
_BRACKET = re.compile(r"\\.|[][{}]", re.DOTALL)
_POSITION = re.compile(r"\s*\[\s*[a-zA-Z]{0,3}\s*\]")  # of an environment: [t]
_NO_SIZE = re.compile(r"[-+]?0*(?:\.0*)?(?:\s*[a-z]{2})?")
# An invisible \rule in brackets and braces, or a \vrule in words.
_RULE = re.compile(r"\s*(?:\[[^][{}]*\]\s*)?\{([^{}]*)\}\s*\{([^{}]*)\}")
_NO_WIDTH = re.compile(r"width\s*(?:[-+]\s*)?0*(?:\.0*)?\s*[a-z]")
_VRULE = re.compile(rf"(?:\s*(?:height|depth|width)\s*{_LENGTH})*")


def lexemes(label: str) -> Iterator[str]:
    """Split a label into lexemes. Raises LabelError."""
    check_length(label)
    text = _ENTITY.sub(_character, label).strip()
    if not text.isascii():
        text = expand(text)
        check_length(text)
    at = 0
    while at < len(text):
        match = _LEXEME.match(text, at)
        if match is None:
            raise LabelError(
                "a backslash with nothing after it ends the label: delete it or complete the command",
                "backslash",
            )
        at = match.end()
        if match["edge"]:
            name = match["environment"]
            if match["edge"] == "begin":
                at = _after_options(text, at, name, name + match["star"])
            yield f"\\{match['edge']}{{{name}}}"
        elif match["row"]:
            yield "\\\\"
        elif match["parallel"]:
            yield r"\nparallel"
        elif match["strut"]:
            at = _after_strut(text, at, match["strut"])
        elif not (match["space"] or match["comment"]):
            lexeme = match["starred"] or match["other"]
            if lexeme in UNREAD:
                arguments, spelling = UNREAD[lexeme]
                at = _after_unread(text, at, lexeme, arguments)
                yield from _SPELLING.findall(spelling)
            else:
                yield from _spelt(lexeme)


def check_length(text: str) -> None:
    """Raise LabelError if a label is longer than MAX_LENGTH."""
    if len(text) > MAX_LENGTH:
        raise LabelError(f"the label has {len(text)} characters of LaTeX: use at most {MAX_LENGTH}", "length")


def _character(entity: re.Match[str]) -> str:
    """The character of an HTML entity; the entity itself where it has none."""
    name = entity[1]
    if name[0] != "#":
        return _ENTITIES[name]
    code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    return chr(code) if code < 0x110000 else entity[0]


def _spelt(lexeme: str) -> Iterator[str]:
    if lexeme in SPELLINGS:
        yield from _SPELLING.findall(SPELLINGS[lexeme])
    elif lexeme in INVISIBLE:
        return
    elif lexeme[:3] in (r"\lt", r"\gt") and lexeme not in SYMBOLS:
        yield from (SPELLINGS[lexeme[:3]], *lexeme[3:])  # \gtM: `\gt M` that lost its space
    else:
        yield lexeme


def _after_unread(text: str, at: int, command: str, arguments: str) -> int:
    """The place after a command's arguments, which are not read: `[` an optional one, `{` another."""
    for argument in arguments:
        start = _skipped(text, at)
        if argument == "[":
            at = _after_group(text, start, "[", "]", command) if text[start : start + 1] == "[" else at
        elif text[start : start + 1] == "{":
            at = _after_group(text, start, "{", "}", command)
        elif start < len(text) and text[start] not in "}&":  # a single lexeme is an argument too
            match = _SPELLING.match(text, start)
            at = match.end() if match else len(text)
        else:
            raise LabelError(
                f"{command} lacks an argument: write it in braces after {command}", "argument", command
            )
    return at


def _after_options(text: str, at: int, name: str, starred: str) -> int:
    """The place after the options of an environment, its columns among them."""
    for argument in ENVIRONMENT_ARGUMENTS.get(starred, ENVIRONMENT_ARGUMENTS.get(name, "")):
        if argument == "{":
            at = _after_unread(text, at, f"\\begin{{{name}}}", argument)
        elif position := _POSITION.match(text, at):
            at = position.end()
    return at


def _after_group(text: str, at: int, opening: str, closing: str, command: str) -> int:
    """The place after a group's end; braces within must match."""
    depth = 0
    for match in _BRACKET.finditer(text, at + 1):
        if match[0] == closing and not depth:
            return match.end()
        depth += (match[0] == "{") - (match[0] == "}")
        if depth < 0:
            break
    raise LabelError(f"{command}: the {closing} that ends its argument is missing: add it", "braces", command)


def _after_strut(text: str, at: int, command: str) -> int:
    r"""The place after the sizes of a \rule that has no width or no height; a black one is refused."""
    if command == r"\vrule":
        match = _VRULE.match(text, at)
        if match and _NO_WIDTH.search(match[0]):
            return match.end()
    elif (match := _RULE.match(text, at)) and any(
        _NO_SIZE.fullmatch(size.strip()) for size in match.groups()
    ):
        return match.end()
    raise LabelError(f"{command} draws a black box, which is no symbol: leave it out", "command", command)


def _skipped(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
