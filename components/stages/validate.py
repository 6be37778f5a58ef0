"""Stage `validate`: data/shards must keep what they promise, or the pipeline stops here.

Writes reports/validation.json, and Data Docs to look at in reports/data_docs.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from components.config import Params, ParamsError, load_params
from components.data.shards import SPLITS
from components.data.validation import Finding, validate
from components.files import atomic_folder, write_json

SHARDS = Path("data/shards")
COUNTS = Path("reports/rasterize.json")
DOCS = Path("reports/data_docs")
REPORT = Path("reports/validation.json")


def run(
    params: Params, shards: Path = SHARDS, counts: Path = COUNTS, docs: Path = DOCS, report: Path = REPORT
) -> tuple[Finding, ...]:
    """Validates the shards and writes both reports. Raises OSError and ValueError of what is not there."""
    with atomic_folder(docs) as part:
        findings = validate(shards, _rejected(counts), params, part)
    met = all(finding.met for finding in findings)
    write_json({"met": met, "expectations": [asdict(finding) for finding in findings]}, report)
    return findings


def _rejected(counts: Path) -> dict[str, float]:
    """The fraction of each split's files that could not be used, as `rasterize` counted them."""
    try:
        content = json.loads(counts.read_text(encoding="utf-8"))
        return {split: content[split]["rejected"] / content[split]["files"] for split in SPLITS}
    except FileNotFoundError:
        raise FileNotFoundError(f"{counts} is not there; run `dvc repro rasterize` first") from None
    except (ValueError, LookupError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"{counts}: not what `rasterize` writes ({error}); run it again") from None


def main() -> None:
    """Runs the stage as params.yaml says."""
    print("validating (Great Expectations takes some seconds to load)", flush=True)
    try:
        findings = run(load_params())
    except (ParamsError, ValueError, OSError) as error:
        sys.exit(f"validate: {error}")
    if broken := [finding for finding in findings if not finding.met]:
        for finding in broken:
            print(f"validate: {finding}", file=sys.stderr)
        sys.exit(
            f"validate: {len(broken)} of {len(findings)} expectations are not met; look at {DOCS}/index.html"
        )
    print(f"{DOCS}/index.html: all {len(findings)} expectations are met")


if __name__ == "__main__":
    main()
