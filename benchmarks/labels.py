r"""How many real formulas normalize, why others are refused, and whether KaTeX takes what comes out.

    python -m benchmarks.labels [--formulas ARCHIVE] [--katex]

The archive holds PlanetMath's and the Book of Statistical Proofs' formulas (count, kind and LaTeX a line,
parted by tabs) and im2latex's (one a line). `--katex` has npm install KaTeX into a temporary folder and
parses every normalized label with it. The last lines say how well function names are found again: names
that the authors wrote (`\sin`, `\mathrm{exp}`), against what `name_functions` finds in the letters.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from components.latex.commands import FUNCTIONS
from components.latex.errors import LabelError
from components.latex.function_names import name_functions, spell_functions
from components.latex.normalizer import normalize
from components.latex.tokenizer import tokenize

FORMULAS = Path("../shared/data/formulas.tar.xz")
KATEX = "katex@0.16.22"
_PARSE = """
const katex = require("katex");
const labels = JSON.parse(require("fs").readFileSync(0, "utf8"));
const refused = labels.filter((label) => {
  try { katex.renderToString(label, {displayMode: true, strict: "ignore"}); return false; }
  catch (error) { return true; }
});
process.stdout.write(JSON.stringify(refused));
"""
_NAMES = "|".join(sorted((name[1:] for name in FUNCTIONS - {r"\mod"}), key=len, reverse=True))
_SPACED = "|".join(r"\s*".join(name) for name in _NAMES.split("|"))
_WRITTEN = re.compile(
    rf"\\(?:mathrm|operatorname\s*\*?|mathop|text|textrm|mbox)\s*\{{\s*(?:\\rm\s*)?({_SPACED})\s*\}}"
    rf"|\{{\s*\\rm\s+({_SPACED})\s*\}}|\\({_NAMES})(?![a-zA-Z])"
)
_MARK = r"\mathring"

console = Console()


@dataclass(frozen=True)
class Result:
    """What became of a list of formulas."""

    labels: tuple[str, ...]  # normalized
    refused: Counter[tuple[str, str]]  # reason and construct
    unstable: tuple[str, ...]  # normalized labels that normalizing changes once more
    seconds: float
    slowest: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--formulas", type=Path, default=FORMULAS, help="(default: %(default)s)")
    parser.add_argument("--katex", action="store_true", help="parse the results with KaTeX (needs npm)")
    options = parser.parse_args()
    lists = read_lists(options.formulas)
    results = {name: normalize_all(formulas) for name, formulas in lists.items()}
    console.print(_table(results))
    for (reason, construct), count in sum((r.refused for r in results.values()), Counter()).most_common():
        console.print(f"{count:6} {reason} {construct}", markup=False, highlight=False)
    if options.katex:
        labels = sorted({label for result in results.values() for label in result.labels})
        with tempfile.TemporaryDirectory() as folder:
            install_katex(Path(folder))
            refused = katex_refusals(labels, Path(folder))
        console.print(f"KaTeX refuses {len(refused)} of {len(labels)} different labels", *refused[:10])
    for name, formulas in lists.items():
        found, wrong, missed = found_names(formulas)
        console.print(
            f"{name}: of {found + missed} function names {found} are found ({found / (found + missed):.1%}); "
            f"{wrong} more are taken for one ({found / (found + wrong):.1%} are right)"
        )


def read_lists(archive: Path) -> dict[str, list[str]]:
    """The formulas of each folder of the archive."""
    lists: dict[str, list[str]] = {}
    with tarfile.open(archive) as members:
        for member in members:
            file = members.extractfile(member)
            path = Path(member.name)
            if file is None or path.name == "README.txt":
                continue
            lines = file.read().decode().rstrip("\n").split("\n")  # splitlines would cut at form feeds
            if path.suffix == ".tsv":
                lines = [line.split("\t", 2)[2] for line in lines]
            lists.setdefault(path.parent.name, []).extend(lines)
    return lists


def normalize_all(formulas: Iterable[str]) -> Result:
    """Normalize each formula, and each result again."""
    labels: list[str] = []
    refused: Counter[tuple[str, str]] = Counter()
    times: list[float] = []
    for formula in formulas:
        started = time.process_time()
        try:
            labels.append(normalize(formula))
        except LabelError as error:
            refused[error.reason, error.construct] += 1
        times.append(time.process_time() - started)
    unstable = tuple(label for label in labels if normalize(label) != label)
    return Result(tuple(labels), refused, unstable, sum(times), max(times, default=0))


def install_katex(folder: Path) -> None:
    """Install KaTeX from npm. Raises OSError or subprocess.SubprocessError where that can't be done."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise FileNotFoundError("node and npm are not installed")
    subprocess.run(
        [
            npm,
            "install",
            "--prefix",
            str(folder),
            "--no-save",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            KATEX,
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )


def katex_refusals(labels: Sequence[str], folder: Path) -> list[str]:
    """Which labels KaTeX, installed in the folder, does not parse."""
    parsed = subprocess.run(
        ["node", "-e", _PARSE],
        cwd=folder,
        input=json.dumps(labels),
        capture_output=True,
        text=True,
        check=True,
    )
    refused: list[str] = json.loads(parsed.stdout)
    return refused


def found_names(formulas: Iterable[str]) -> tuple[int, int, int]:
    """How many names of functions are found again, taken wrongly, and missed."""
    found = wrong = missed = 0
    for formula in formulas:
        if _MARK in formula:
            continue
        try:
            marked = tokenize(normalize(_WRITTEN.sub(_marked, formula)))
        except LabelError:
            continue
        tokens, truth = _unmarked(marked)
        named = name_functions(tokens)
        assert spell_functions(named.tokens) == tokens
        names = {span for token, span in zip(named.tokens, named.spans, strict=True) if token in FUNCTIONS}
        found += len(names & truth)
        wrong += len(names - truth)
        missed += len(truth - names)
    return found, wrong, missed


def _marked(match: re.Match[str]) -> str:
    name = re.sub(r"\s", "", next(filter(None, match.groups())))
    return rf"{_MARK}{{\{name}}}"


def _unmarked(marked: Sequence[str]) -> tuple[tuple[str, ...], set[tuple[int, int]]]:
    """The tokens without marks, and where the marked names are."""
    tokens: list[str] = []
    names: set[tuple[int, int]] = set()
    rest: Iterator[str] = iter(marked)
    for token in rest:
        if token != _MARK:
            tokens.append(token)
            continue
        start = len(tokens)
        next(rest)  # {
        while (letter := next(rest)) != "}":
            tokens.append(letter)
        names.add((start, len(tokens)))
    return tuple(tokens), names


def _table(results: dict[str, Result]) -> Table:
    table = Table("list", "formulas", "accepted", "%", "refused", "unstable", "seconds", "slowest, ms")
    for name, result in results.items():
        accepted, refused = len(result.labels), result.refused.total()
        table.add_row(
            name,
            str(accepted + refused),
            str(accepted),
            f"{100 * accepted / (accepted + refused):.2f}",
            str(refused),
            str(len(result.unstable)),
            f"{result.seconds:.1f}",
            f"{1000 * result.slowest:.1f}",
        )
    return table


if __name__ == "__main__":
    main()
