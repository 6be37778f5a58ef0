r"""How many real formulas normalize, why others are refused, and whether KaTeX takes what comes out.

    python -m benchmarks.labels [--formulas ARCHIVE] [--katex]

The archive holds PlanetMath's and the Book of Statistical Proofs' formulas (count, kind and LaTeX a line,
parted by tabs) and im2latex's (one a line). `--katex` has npm install KaTeX into a temporary folder and
parses every normalized label with it. The last lines say how well function names are found again: names
that the authors wrote (`\sin`, `\mathrm{exp}`), against what `name_functions` finds in the letters.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from components.evaluation.katex import install_katex, katex_refusals
from components.evaluation.label_coverage import Coverage, found_names, normalize_all, read_lists

FORMULAS = Path("../shared/data/formulas.tar.xz")

console = Console()


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


def _table(results: dict[str, Coverage]) -> Table:
    table = Table(
        "list", "formulas", "accepted", "%", "refused", "unstable", "seconds", "slowest ms", box=None
    )
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
