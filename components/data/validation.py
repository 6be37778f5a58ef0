"""What the shards promise to all later stages, as a Great Expectations suite.

The shards are boiled down to two small tables of facts, a row an ink and a row a split; the expectations are
about those.
"""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from components.config import Params
from components.data.shards import SPLITS, shard_paths
from components.latex.tokenizer import TokenError, detokenize, tokenize

if TYPE_CHECKING:
    from great_expectations.data_context import AbstractDataContext
    from great_expectations.expectations.expectation import Expectation

_BATCH = 1024  # rows of a shard in memory at once
_EXAMPLES = 3
_SITE = "shards"
_NO_PNG = (0, 0)  # as the size of bytes that are none


@dataclass(frozen=True)
class Finding:
    """What became of one expectation."""

    promise: str
    expectation: str  # Great Expectations' name of it
    columns: tuple[str, ...]
    met: bool
    checked: int  # rows
    broken: int  # rows
    examples: tuple[str, ...]  # of broken rows, three at most

    def __str__(self) -> str:
        of = f"({self.expectation} of {', '.join(self.columns)})"
        if self.met:
            return f"{self.promise}: holds for all {self.checked:,} {of}"
        examples = "; ".join(self.examples)
        return f"{self.promise}: broken by {self.broken:,} of {self.checked:,} {of}, for example {examples}"


def validate(shards: Path, rejected: Mapping[str, float], params: Params, docs: Path) -> tuple[Finding, ...]:
    """Holds the shards to all expectations, and writes Data Docs (HTML) into the new folder `docs`.

    `rejected` is the fraction of each split's files that can't be used. Raises FileNotFoundError where a
    split has no shards.
    """
    inks, splits = ink_facts(shards), split_facts(shards, rejected)
    # Importing Great Expectations takes ten seconds: only who gets here pays.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    context = _context(docs)
    return (
        *_check(context, "ink", inks, _of_inks(params)),
        *_check(context, "split", splits, _of_splits(params)),
    )


def _of_inks(params: Params) -> Mapping[str, Expectation]:
    """The expectations of a row an ink, by what they promise."""
    from great_expectations import expectations as gx
    from great_expectations.expectations.row_conditions import Column

    raster, most = params.raster, params.validate_.max_tokens
    smallest = 2 * raster.margin + 1
    drawn = Column("kind") == "ink"  # a picture has no strokes that could be wrong
    within, equal, one_of = (
        gx.ExpectColumnValuesToBeBetween,
        gx.ExpectColumnPairValuesToBeEqual,
        gx.ExpectColumnValuesToBeInSet,
    )
    promises: dict[str, Expectation] = {
        "an id is there once in its split": gx.ExpectColumnValuesToBeUnique(column="ink"),
        "a label is cut into its tokens": equal(column_A="tokens", column_B="tokens_of_label"),
        "tokens give their label back": equal(column_A="label", column_B="label_of_tokens"),
        "a label is no longer than validate.max_tokens": within(column="length", min_value=1, max_value=most),
        "an ink has a stroke": within(column="strokes", min_value=1, row_condition=drawn),
        "a stroke has a point": within(column="empty_strokes", max_value=0, row_condition=drawn),
        "coordinates are finite and come in pairs": within(
            column="bad_strokes", max_value=0, row_condition=drawn
        ),
        "a picture is no wider than raster.max_width": within(
            column="width", min_value=smallest, max_value=raster.max_width
        ),
        "a picture is no higher than raster.max_height": within(
            column="height", min_value=smallest, max_value=raster.max_height
        ),
        "a PNG is as wide as its row says": equal(column_A="width", column_B="png_width"),
        "a PNG is as high as its row says": equal(column_A="height", column_B="png_height"),
        "no ink is in two splits": one_of(column="splits_of_ink", value_set=list(SPLITS)),
    }
    if params.data.source == "synthetic":  # people write one formula twice; the grammar need not
        promises["no label is in two splits"] = one_of(column="splits_of_label", value_set=list(SPLITS))
    return promises


def _of_splits(params: Params) -> Mapping[str, Expectation]:
    """The expectations of a row a split, by what they promise."""
    from great_expectations import expectations as gx
    from great_expectations.expectations.row_conditions import Column

    within, limits = gx.ExpectColumnValuesToBeBetween, params.validate_
    return {
        "rejects are no more than data.max_rejected": within(
            column="rejected", max_value=params.data.max_rejected
        ),
        "train has validate.min_symbols tokens or more": within(
            column="symbols",
            min_value=limits.min_symbols,
            row_condition=Column("split") == "train",
        ),
        "train has the tokens of valid and test, but for validate.max_unseen": within(
            column="unseen", max_value=limits.max_unseen
        ),
    }


def _context(docs: Path) -> AbstractDataContext:
    """A Great Expectations project that leaves nothing behind but Data Docs."""
    import great_expectations
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    for site in context.get_site_names():
        context.delete_data_docs_site(site)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs.absolute())}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    context.add_data_docs_site(
        _SITE, {"class_name": "SiteBuilder", "store_backend": store, "site_index_builder": index}
    )
    return context


def _check(
    context: AbstractDataContext, name: str, facts: pd.DataFrame, promises: Mapping[str, Expectation]
) -> list[Finding]:
    """Holds one table of facts, whose column `name` says what a row is, to its expectations."""
    import great_expectations as gx

    for promise, expectation in promises.items():
        expectation.meta, expectation.notes = {"promise": promise}, promise
    asset = context.data_sources.add_pandas(name).add_dataframe_asset(name)
    whole = asset.add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=list(promises.values())))
    checkpoint = gx.Checkpoint(
        name=name,
        validation_definitions=[
            context.validation_definitions.add(gx.ValidationDefinition(name=name, data=whole, suite=suite))
        ],
        actions=[gx.checkpoint.UpdateDataDocsAction(name=_SITE, site_names=[_SITE])],
        result_format={"result_format": "SUMMARY", "unexpected_index_column_names": [name]},
    )
    [result] = (
        context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": facts}).run_results.values()
    )
    findings = {finding.promise: finding for finding in (_finding(name, o) for o in result.results)}
    return [findings[promise] for promise in promises]  # Great Expectations has an order of its own


def _finding(name: str, outcome: Any) -> Finding:
    asked, found = outcome.expectation_config, outcome.result
    if outcome.exception_info.get("raised_exception"):
        raise RuntimeError(f"{asked.type}: {outcome.exception_info['exception_message']}")
    examples = dict.fromkeys(_example(name, row) for row in found.get("partial_unexpected_index_list") or ())
    return Finding(
        promise=asked.meta["promise"],
        expectation=asked.type,
        columns=tuple(asked.kwargs[key] for key in ("column", "column_A", "column_B") if key in asked.kwargs),
        met=bool(outcome.success),
        checked=found["element_count"],
        broken=found["unexpected_count"],
        examples=tuple(examples)[:_EXAMPLES],
    )


def _example(name: str, row: Mapping[str, Any]) -> str:
    facts = ", ".join(f"{column} {value}" for column, value in row.items() if column != name)
    return f"{row[name]} ({facts})" if facts else str(row[name])


def ink_facts(shards: Path) -> pd.DataFrame:
    """A row an ink, with all that the expectations look at. Raises FileNotFoundError."""
    batches = (_facts(split, batch) for split in SPLITS for batch in _batches(shards / split))
    facts = pd.concat(list(batches), ignore_index=True)
    for column in ("hash", "label"):
        splits = facts[[column, "split"]].drop_duplicates().groupby(column)["split"].agg(", ".join)
        facts["splits_of_ink" if column == "hash" else "splits_of_label"] = facts[column].map(splits)
    return facts.drop(columns="hash")


def split_facts(shards: Path, rejected: Mapping[str, float]) -> pd.DataFrame:
    """A row a split: the fraction of its files that is rejected, its alphabet, and what train lacks of it."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for split, count in counts.items():
        for batch in _batches(shards / split, ["tokens"]):
            count.update(batch["tokens"].flatten().to_pylist())
    known = counts["train"].keys()
    return pd.DataFrame(
        {
            "split": split,
            "rejected": rejected[split],
            "symbols": len(count),
            "unseen": sum(count[token] for token in count.keys() - known) / max(count.total(), 1),
        }
        for split, count in counts.items()
    )


def _batches(folder: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    for path in shard_paths(folder):
        yield from pq.ParquetFile(path).iter_batches(_BATCH, columns=columns)


def _facts(split: str, batch: pa.RecordBatch) -> pd.DataFrame:
    labels, tokens = batch["latex"].to_pylist(), batch["tokens"].to_pylist()
    pngs = [_png_size(png) for png in batch["png"].to_pylist()]
    return pd.DataFrame(
        {
            "ink": [f"{split}/{id}" for id in batch["id"].to_pylist()],
            "split": split,
            "kind": np.where(batch["strokes"].is_null().to_numpy(zero_copy_only=False), "picture", "ink"),
            "label": labels,
            "label_of_tokens": [detokenize(row) for row in tokens],
            "tokens": [" ".join(row) for row in tokens],
            "tokens_of_label": [_tokens_of(label) for label in labels],
            "length": [len(row) for row in tokens],
            **_stroke_facts(batch["strokes"]),
            "width": batch["width"].to_numpy(),
            "height": batch["height"].to_numpy(),
            "png_width": [width for width, _ in pngs],
            "png_height": [height for _, height in pngs],
            "hash": batch["ink_hash"].to_pylist(),
        }
    )


def _tokens_of(label: str) -> str:
    try:
        return " ".join(tokenize(label))
    except TokenError as error:
        return str(error)


def _stroke_facts(inks: pa.ListArray) -> dict[str, Any]:
    """Of each ink: how many strokes, how many of them without a point, and with a wrong coordinate; 0 of
    pictures."""
    strokes = inks.flatten()
    lengths = strokes.value_lengths().to_numpy()
    finite = np.concatenate([[0], np.cumsum(np.isfinite(strokes.flatten().to_numpy()))])
    ends = np.cumsum(lengths)
    bad = (finite[ends] - finite[ends - lengths] < lengths) | (lengths % 2 == 1)
    counts = inks.value_lengths().fill_null(0).to_numpy()
    of = np.repeat(np.arange(len(inks)), counts)
    return {
        "strokes": counts,
        "empty_strokes": np.bincount(of, lengths == 0, len(inks)).astype(int),
        "bad_strokes": np.bincount(of, bad, len(inks)).astype(int),
    }


def _png_size(png: bytes) -> tuple[int, int]:
    """Width and height that a PNG's header gives (ISO/IEC 15948, section 11.2.2)."""
    if len(png) < 24 or png[:8] != b"\x89PNG\r\n\x1a\n" or png[12:16] != b"IHDR":
        return _NO_PNG
    width, height = struct.unpack(">II", png[16:24])
    return width, height
