"""Stage `rasterize`: data/raw/<split>/**.inkml → data/shards/<split>/part-*.parquet.

What can't be used is listed with its reason in reports/rejected.csv; too much of it stops the pipeline.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from dask.distributed import Client
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from components.config import ComputeParams, Params, ParamsError, load_params
from components.data.dask_client import ClusterError, connect, probe
from components.data.rasterize import CHUNK, Outcome, clear, plan, rasterize
from components.files import atomic_folder, write_csv, write_json

RAW = Path("data/raw")
SHARDS = Path("data/shards")
REPORT = Path("reports/rasterize.json")
REJECTED = Path("reports/rejected.csv")


class RejectedError(ValueError):
    """More files are unusable than `data.max_rejected` allows."""


def run(
    params: Params, raw: Path = RAW, shards: Path = SHARDS, report: Path = REPORT, rejected: Path = REJECTED
) -> dict[str, Outcome]:
    """Replace `shards` atomically, and write both reports.

    Raises RejectedError, ClusterError, and OSError (FileNotFoundError where a split has no InkML).
    """
    with atomic_folder(shards) as part:
        work = plan(raw, part, params.raster.shard_rows)
        total = sum(len(shard.sources) for shard in work)
        with connect(params.compute, -(-total // CHUNK)) as client, _progress() as progress:
            storage = _storage(params.compute, client, part)
            bar = progress.add_task("rasterizing", total=total)
            try:
                outcomes = rasterize(
                    client, work, params.raster.settings, lambda files: progress.advance(bar, files), storage
                )
            finally:
                if storage is not None:
                    clear(storage)
        rejects = [reject for outcome in outcomes.values() for reject in outcome.rejects]
        write_csv(("split", "file", "reason"), [(r.split, r.file, r.reason) for r in rejects], rejected)
        _check(outcomes, params.data.max_rejected, rejected)
    write_json({split: _counts(outcome) for split, outcome in outcomes.items()}, report)
    return outcomes


def _storage(compute: ComputeParams, client: Client, part: Path) -> str | None:
    """Return an address for this run, if there is one. Raises ClusterError if a worker can't use it."""
    if compute.scheduler == "processes":
        return None
    storage = compute.storage and f"{compute.storage.rstrip('/')}/rasterize-{secrets.token_hex(4)}"
    probe(client, storage or str(part.absolute()), rasterize.__module__)
    return storage


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def _check(outcomes: Mapping[str, Outcome], limit: float, listed: Path) -> None:
    for split, outcome in outcomes.items():
        if outcome.rejected > limit or not outcome.used:
            examples = "; ".join(f"{reject.file}: {reject.reason}" for reject in outcome.rejects[:3])
            raise RejectedError(
                f"{len(outcome.rejects):,} of {outcome.files:,} files of {split} ({outcome.rejected:.1%}) "
                f"are unusable, more than data.max_rejected ({limit:.1%}) allows: {examples}. "
                f"{listed} lists them; repair or remove them, or raise data.max_rejected"
            )


def _counts(outcome: Outcome) -> dict[str, int]:
    return {"files": outcome.files, "used": outcome.used, "rejected": len(outcome.rejects)}


def main() -> None:
    """Run the stage with params.yaml."""
    try:
        outcomes = run(load_params())
    except (ParamsError, RejectedError, ClusterError, OSError) as error:
        sys.exit(f"rasterize: {error}")
    for split, outcome in outcomes.items():
        print(f"{split}: {outcome.used:,} of {outcome.files:,} inks used")
    print(f"{SHARDS}: Parquet shards. Rejected files with reasons: {REJECTED}")


if __name__ == "__main__":
    main()
