"""Stage `formulas`: real formulas of text lists, normalized, without those of validation and test splits."""

from __future__ import annotations

import sys
from pathlib import Path

from components.config import Params, ParamsError, load_params
from components.data.shards import read_table
from components.files import write_json, write_text
from components.synthesis.formula_lists import labels_of, read_lists, without, write_formulas
from components.synthesis.symbol_bank import SymbolBank

SHARDS, BANK, OUT = Path("data/shards"), Path("data/symbols.parquet"), Path("data/formulas")
LISTED, HELD_OUT, REPORT = OUT / "lists.tsv", OUT / "held-out.txt", Path("reports/formulas.json")
_STRUCTURE = frozenset([r"\frac", r"\sqrt", r"\overset", r"\underset"])


def make_lists(params: Params) -> dict[str, int]:
    """Write the lists and the labels that are held out. Raises ValueError, OSError."""
    wanted = params.synthesize.formulas
    bank = SymbolBank.load(BANK)
    held_out = {latex for split in ("valid", "test") for latex in _labels(SHARDS / split)}
    held_out |= {latex for path in wanted.held_out for latex in labels_of(path)} - _labels(SHARDS / "train")
    listed = read_lists(
        wanted.lists, lambda token: token in bank or token in _STRUCTURE, params.synthesize.max_tokens
    )
    kept = without(listed, frozenset(held_out))
    write_formulas(kept, LISTED)
    write_text("".join(f"{latex}\n" for latex in sorted(held_out)), HELD_OUT)
    counts = {"formulas": len(kept), "held_out": len(held_out), "left_out": len(listed) - len(kept)}
    write_json(counts, REPORT)
    return counts


def _labels(split: Path) -> set[str]:
    return set(read_table(split, ["latex"])["latex"].to_pylist())


def main() -> None:
    """Run the stage with params.yaml."""
    try:
        counts = make_lists(load_params())
    except (ParamsError, ValueError, OSError) as error:
        sys.exit(f"formulas: {error}")
    print(f"{LISTED}: {counts['formulas']:,} formulas; {counts['left_out']} are labels that are held out")


if __name__ == "__main__":
    main()
