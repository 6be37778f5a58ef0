"""Stage `validate`: check data/shards against expectations; the pipeline stops if they fail.

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
    """Validate the shards and write both reports. Raises OSError and ValueError for missing inputs."""
    with atomic_folder(docs) as part:
        findings = validate(shards, _rejected(counts), params, part)
    met = all(finding.met for finding in findings)
    write_json({"met": met, "expectations": [asdict(finding) for finding in findings]}, report)
    return findings


def _rejected(counts: Path) -> dict[str, float]:
    """The fraction of rejected files of each split, from `rasterize`'s report."""
    try:
        content = json.loads(counts.read_text(encoding="utf-8"))
        return {split: content[split]["rejected"] / content[split]["files"] for split in SPLITS}
    except FileNotFoundError:
        raise FileNotFoundError(f"{counts} does not exist; run `dvc repro rasterize` first") from None
    except (ValueError, LookupError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"{counts}: not written by `rasterize` ({error}); run it again") from None


def main() -> None:
    """Run the stage with params.yaml."""
    print("validating (Great Expectations takes some seconds to load)", flush=True)
    try:
        findings = run(load_params())
    except (ParamsError, ValueError, OSError) as error:
        sys.exit(f"validate: {error}")
    if broken := [finding for finding in findings if not finding.met]:
        for finding in broken:
            print(f"validate: {finding}", file=sys.stderr)
        sys.exit(f"validate: {len(broken)} of {len(findings)} expectations failed; see {DOCS}/index.html")
    print(f"{DOCS}/index.html: all {len(findings)} expectations met")


if __name__ == "__main__":
    main()
