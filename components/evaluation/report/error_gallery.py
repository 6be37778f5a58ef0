"""A gallery of the worst errors: one HTML file with embedded pictures, without network or scripts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from rapidfuzz.distance import Levenshtein

from components.evaluation.metrics import SURE, Answer, Evaluation, Tokens


@dataclass(frozen=True)
class Worst:
    """Errors worth inspecting; the two lists are disjoint."""

    sure: tuple[Answer, ...]  # the most confident: a user would have believed them
    far: tuple[Answer, ...]  # the largest edit distances

    @property
    def ids(self) -> list[str]:
        return [answer.id for answer in (*self.sure, *self.far)]


def worst(answers: Sequence[Answer], count: int) -> Worst:
    """Up to `count` errors: half of them the most confident, the others the furthest from their labels."""
    wrong = [answer for answer in answers if not answer.right]
    sure = sorted(wrong, key=lambda a: (-a.confidence, a.id))[: (count + 1) // 2]
    taken = {answer.id for answer in sure}
    others = sorted((a for a in wrong if a.id not in taken), key=lambda a: (-a.edits, a.id))
    return Worst(tuple(sure), tuple(others[: count // 2]))


def page(evaluation: Evaluation, mistakes: Worst, pictures: Mapping[str, bytes], title: str) -> str:
    """Render the page. `pictures` has the PNG of each error by id."""
    scores = evaluation.overall.scores
    wrong = scores.n - round(scores.exprate * scores.n)
    sections = [
        _section("The surest", "Wrong with the highest confidence: what a user would have believed.",
                 mistakes.sure, pictures),
        _section("The furthest off", "The most tokens to change until the reading is the label.",
                 mistakes.far, pictures),
    ]  # fmt: skip
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Worst mistakes · {escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>Worst mistakes</h1>
<p>{escape(title)}</p>
<dl>{"".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _figures(evaluation))}</dl>
</header>
<main>
<p>{_shown(len(mistakes.ids), wrong, scores.n)}</p>
{"".join(sections)}
</main>
</body>
</html>
"""


def _figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    scores, sure = evaluation.overall.scores, evaluation.reliability
    right = "–" if sure.sure_right is None else f"{sure.sure_right:.1%}"
    return [
        ("ExpRate", f"{scores.exprate:.1%}"),
        ("≤ 1 error", f"{scores.exprate_le1:.1%}"),
        ("≤ 2 errors", f"{scores.exprate_le2:.1%}"),
        ("CER", f"{scores.cer:.1%}"),
        ("ECE", f"{sure.ece:.3f}"),
        (f"right of those over {SURE:.0%}", right),
    ]


def _shown(shown: int, wrong: int, n: int) -> str:
    if not wrong:
        return f"There is no mistake: all of {n} readings are right."
    return f"{wrong} of {n} readings are wrong; {shown} of them are shown." + (_LEGEND if shown else "")


def _section(title: str, lead: str, answers: Sequence[Answer], pictures: Mapping[str, bytes]) -> str:
    if not answers:
        return ""
    cards = "".join(_card(answer, pictures[answer.id]) for answer in answers)
    return f"<section>\n<h2>{title}</h2>\n<p>{lead}</p>\n{cards}</section>\n"


def _card(answer: Answer, picture: bytes) -> str:
    label, read = _marked(answer.label, answer.read)
    tokens = "token" if answer.edits == 1 else "tokens"
    return f"""<article>
<img src="data:image/png;base64,{b64encode(picture).decode()}" alt="handwriting of {escape(answer.id)}">
<div class="texts">
<p class="line"><span class="what">label</span><code>{label}</code></p>
<p class="line"><span class="what">read</span><code>{read}</code></p>
<p class="facts">{answer.edits} {tokens} off · confidence {answer.confidence:.1%} · {escape(answer.id)}</p>
</div>
</article>
"""


def _marked(label: Tokens, read: Tokens) -> tuple[str, str]:
    """Both lines as HTML; tokens in only one of them are marked with <del> and <ins>."""
    lines: tuple[list[str], list[str]] = ([], [])
    for code in Levenshtein.opcodes(label, read):
        spans = (label[code.src_start : code.src_end], read[code.dest_start : code.dest_end])
        for line, tokens, tag in zip(lines, spans, ("del", "ins"), strict=True):
            text = escape(" ".join(tokens))
            if text:
                line.append(text if code.tag == "equal" else f"<{tag}>{text}</{tag}>")
    label_line, read_line = (" ".join(line) or '<span class="what">nothing</span>' for line in lines)
    return label_line, read_line


_LEGEND = " Tokens stand apart: <del>in the label only</del> <ins>in the reading only</ins>"

_STYLE = """
:root { --paper: #fff; --text: #1c2630; --faint: #5c6873; --line: #d9dfe4; --card: #f6f8f9;
        --del: #ffd9d6; --del-text: #8c1d18; --ins: #d3e7fb; --ins-text: #0b4a82; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 64rem; background: var(--paper); color: var(--text);
       font: 1rem/1.5 system-ui, sans-serif; }
h1, h2 { line-height: 1.2; margin: 0; }
h2 { margin-top: 2.5rem; }
dl { display: flex; flex-wrap: wrap; gap: .75rem 2rem; margin: 1rem 0; }
dt { color: var(--faint); font-size: .85rem; }
dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
article { display: grid; grid-template-columns: minmax(0, 20rem) minmax(0, 1fr); gap: 1rem 1.5rem;
          align-items: center; padding: 1rem; margin: .75rem 0; border: 1px solid var(--line);
          border-radius: .5rem; background: var(--card); }
img { justify-self: center; max-width: 100%; max-height: 12rem; mix-blend-mode: multiply; }
p { margin: .25rem 0; }
.line { display: grid; grid-template-columns: 3.5rem minmax(0, 1fr); }
.what, .facts { color: var(--faint); font-size: .85rem; }
.facts { margin-top: .5rem; overflow-wrap: anywhere; }
code { font: .95rem/1.6 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
del, ins { text-decoration: none; border-radius: .2rem; padding: .05rem .25rem; }
del { background: var(--del); color: var(--del-text); }
ins { background: var(--ins); color: var(--ins-text); }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14191e; --text: #e3e8ec; --faint: #98a4ae; --line: #323b43; --card: #1c2329;
          --del: #57211f; --del-text: #ffc9c4; --ins: #173d5f; --ins-text: #c4e1fd; }
  img { filter: invert(1); mix-blend-mode: screen; }
}
@media (max-width: 40rem) { article { grid-template-columns: minmax(0, 1fr); } }
"""
