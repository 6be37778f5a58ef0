"""What a caller knows about the formula, and the search restricted to it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import from_json

from components.latex.function_names import spell_functions
from components.latex.tokenizer import TokenError, tokenize
from components.latex.vocabulary import SPECIALS, Vocabulary
from components.recognizer.decoding import UNRESTRICTED, Restriction
from components.serving.schemas.problems import Problem

_MAX_LIST = 1000
_STRUCTURE = frozenset((*"{}_^", r"\frac", r"\sqrt"))
_DIGITS = frozenset("0123456789.,+-") | {"{", "}", r"\frac"}
_LETTERS = frozenset(map(chr, (*range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1))))
_ALGEBRA = frozenset({*_DIGITS, *_STRUCTURE, *_LETTERS, *"=<>()[]|/!:;*"}) | {
    r"\{", r"\}", r"\cdot", r"\times", r"\div", r"\pm", r"\mp", r"\le", r"\ge", r"\ne", r"\approx", r"\pi",
    r"\prime", r"\%",
}  # fmt: skip
_CALCULUS = _ALGEBRA | {
    r"\alpha", r"\beta", r"\gamma", r"\delta", r"\epsilon", r"\zeta", r"\eta", r"\theta", r"\iota", r"\kappa",
    r"\lambda", r"\mu", r"\nu", r"\xi", r"\rho", r"\sigma", r"\tau", r"\upsilon", r"\phi", r"\varphi",
    r"\chi", r"\psi", r"\omega", r"\Gamma", r"\Delta", r"\Theta", r"\Lambda", r"\Xi", r"\Pi", r"\Sigma",
    r"\Phi", r"\Psi", r"\Omega", r"\int", r"\iint", r"\iiint", r"\oint", r"\sum", r"\prod", r"\partial",
    r"\nabla", r"\infty", r"\rightarrow", r"\Rightarrow", r"\mapsto", r"\in", r"\equiv", r"\sim", r"\dot",
    r"\ddot", r"\vec", r"\hat", r"\tilde", r"\overline", r"\mathbb{R}", r"\mathbb{N}", r"\mathbb{Z}",
    r"\mathbb{C}", r"\mathbb{Q}",
}  # fmt: skip
NAMED = {"digits": _DIGITS, "algebra": _ALGEBRA, "calculus": _CALCULUS}


class Constraints(BaseModel):
    """What is known about the formula. Symbols are tokens as in `token_boxes` with `names=letters`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str | list[str] = Field(
        "", description="the formula begins so: LaTeX, or its tokens", max_length=_MAX_LIST
    )
    tokens: dict[Annotated[int, Field(ge=0, lt=_MAX_LIST)], str] = Field(
        {},
        description="tokens at their places, which count from 0 as in `token_boxes` with `names=letters`",
        examples=[{"4": "x"}],
        max_length=_MAX_LIST,
    )
    exclude: list[str] = Field([], description="symbols that it does not have", max_length=_MAX_LIST)
    vocabulary: Literal["digits", "algebra", "calculus"] | list[str] | None = Field(
        None, description="symbols that it may have, by a name or one by one; null: all"
    )


def constraints_in(data: bytes) -> Constraints | None:
    """The field `constraints` of a JSON object, None if it has none. Raises Problem."""
    if b'"constraints"' not in data:
        return None
    try:
        content: JsonValue = from_json(data)
    except ValueError:
        return None  # whoever reads the rest says what is wrong
    given = content.get("constraints") if isinstance(content, dict) else None
    return None if given is None else parse_constraints(given)


def parse_constraints(given: JsonValue) -> Constraints:
    """Constraints from JSON. Raises Problem (422) that names the field."""
    try:
        return Constraints.model_validate(given)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(("constraints", *map(str, fault["loc"])))
        raise Problem(422, "invalid-constraints", f"{place}: {fault['msg']}") from None


def restriction_of(constraints: Constraints | None, vocabulary: Vocabulary) -> Restriction:
    """The restriction of the search. Raises Problem (422) for a symbol that the model does not know."""
    if constraints is None:
        return UNRESTRICTED
    usable = None
    if constraints.vocabulary is not None or constraints.exclude:
        usable = _numbers(_usable(constraints, vocabulary), "vocabulary", vocabulary)
        usable -= _numbers(constraints.exclude, "exclude", vocabulary)
    tokens = {place: _number(token, vocabulary) for place, token in constraints.tokens.items()}
    return Restriction(_prefix(constraints, vocabulary), tuple(sorted(tokens.items())), usable)


def _usable(constraints: Constraints, vocabulary: Vocabulary) -> Iterable[str]:
    wanted = constraints.vocabulary
    if wanted == []:
        raise Problem(422, "invalid-constraints", "constraints.vocabulary: name at least one symbol")
    if wanted is None:
        return vocabulary.tokens[len(SPECIALS) :]
    if isinstance(wanted, str):
        return NAMED[wanted] & set(vocabulary.tokens)
    return [*wanted, *(_STRUCTURE & set(vocabulary.tokens))]


def _prefix(constraints: Constraints, vocabulary: Vocabulary) -> tuple[int, ...]:
    prefix = constraints.prefix
    try:
        tokens = spell_functions(tokenize(prefix) if isinstance(prefix, str) else prefix)
    except TokenError as error:
        raise Problem(422, "invalid-constraints", f"constraints.prefix: {error}") from None
    _numbers(tokens, "prefix", vocabulary)
    return tuple(vocabulary.encode(tokens))


def _number(token: str, vocabulary: Vocabulary) -> int:
    [number] = _numbers([token], "tokens", vocabulary)
    return number


def _numbers(tokens: Iterable[str], field: str, vocabulary: Vocabulary) -> frozenset[int]:
    tokens = list(tokens)
    if unknown := [*vocabulary.unknown(tokens), *(token for token in tokens if token in SPECIALS)]:
        names = ", ".join(unknown[:5])
        raise Problem(
            422, "invalid-constraints", f"constraints.{field}: the model has no symbol {names[:200]}"
        )
    return frozenset(vocabulary.encode(tokens))
