"""Stage `symbols`: the symbols that synthetic formulas are written with, from all sources, in one file."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from components.config import Params, ParamsError, load_params
from components.files import write_json
from components.synthesis.symbol_bank import SymbolBank
from components.synthesis.symbol_sources import SymbolSourceError, build_bank

TRAIN, BANK, REPORT = Path("data/shards/train"), Path("data/symbols.parquet"), Path("reports/symbols.json")


def make_bank(params: Params) -> SymbolBank:
    """Write the bank, and how many samples each class has of each source; an empty one if none is needed."""
    bank = (
        build_bank(params.synthesize.symbols, TRAIN, params.seed)
        if params.synthesize.count
        else SymbolBank([])
    )
    bank.save(BANK)
    counts = {token: dict(Counter(s.source for s in bank.all(token))) for token in bank.tokens}
    write_json({"classes": len(counts), "samples": len(bank), "counts": counts}, REPORT)
    return bank


def main() -> None:
    """Run the stage with params.yaml."""
    try:
        bank = make_bank(load_params())
    except (ParamsError, SymbolSourceError, ValueError, OSError) as error:
        sys.exit(f"symbols: {error}")
    print(f"{BANK}: {len(bank):,} symbols of {len(bank.tokens)} classes. All counts: {REPORT}")


if __name__ == "__main__":
    main()
