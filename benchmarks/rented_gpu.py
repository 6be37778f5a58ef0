"""Train on a GPU rented by the minute, on a machine that has PyTorch but not this project.

    python -m benchmarks.rented_gpu pack job.tar --wheels FOLDER    here, after `rasterize` to `formulas`
    python -m benchmarks.rented_gpu run --minutes 8 --out OUT       there, in the unpacked folder

`run` writes the synthetic formulas, the vocabulary and the model anew; what is best so far lies in OUT after
every epoch, so that whatever ends the rent, something is left.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tarfile
import time
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.config import Params, load_params
from components.data.shards import data_hash, shard_paths

_CODE = ("components", "benchmarks/__init__.py", "benchmarks/rented_gpu.py", "presets", "params.yaml")
_DATA = ("data/shards/valid", "data/symbols.parquet", "data/formulas")
_TRAIN = Path("data/shards/train")


def pack(out: Path, wheels: Path | None, preset: str) -> None:
    """Writes code, data, the checkpoint to begin with and wheels into one archive."""
    start = load_params(preset=preset).train.init_from
    with tarfile.open(out, "w") as tar:
        for name in (*_CODE, *_DATA, *([str(start)] if start else [])):
            tar.add(name, filter=lambda m: None if "__pycache__" in m.name else m)
        for shard in shard_paths(_TRAIN):  # training draws each ink anew and needs no pictures
            table = pq.read_table(shard)
            column = table.schema.get_field_index("png")
            blank = pa.array([b""] * len(table), pa.binary())
            content = BytesIO()
            pq.write_table(
                table.set_column(column, table.schema.field(column), blank),
                content,
                compression="zstd",
                compression_level=19,
            )
            member = tarfile.TarInfo(shard.as_posix())
            member.size = content.tell()
            content.seek(0)
            tar.addfile(member, content)
        for wheel in sorted(wheels.glob("*.whl")) if wheels else ():
            tar.add(wheel, f"wheels/{wheel.name}")


def run(params: Params, out: Path) -> None:
    """Synthesizes, trains by the clock and leaves best.pt and history.csv in `out`."""
    import torch

    from components.latex.vocabulary import Vocabulary
    from components.model.checkpoint import load_model, save_model
    from components.model.trainer import Epoch, TrainingJob, fit
    from components.stages.symbols import BANK
    from components.stages.synthesize import SYNTHETIC, synthesize
    from components.stages.vocab import REPORT, SHARDS, VOCAB, make_vocabulary

    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    count = synthesize(params)
    print(f"{count:,} formulas after {time.monotonic() - began:.0f} s", flush=True)
    make_vocabulary(SHARDS, params.vocab.min_count, VOCAB, REPORT, SYNTHETIC, splits=("train", "valid"))
    folder = Path("data/training/rented")
    vocabulary = Vocabulary.load(VOCAB)
    job = TrainingJob(
        shards=SHARDS,
        symbols=BANK,
        synthetic=SYNTHETIC,
        vocabulary=vocabulary,
        raster=params.raster.settings,
        model=params.model,
        train=params.train,
        seed=params.seed,
        data_hash=data_hash([SHARDS / "train", SHARDS / "valid", SYNTHETIC]),
    )

    def keep(epoch: Epoch) -> None:
        print(
            f"{time.monotonic() - began:4.0f} s  epoch {epoch.epoch + 1}  loss {epoch.train_loss:.3f}  valid "
            f"{epoch.valid_loss:.3f}  ExpRate {epoch.valid_exprate:.1%}  lr {epoch.lr:.5f}  "
            f"{epoch.inks_per_second:.0f} inks/s  waiting {epoch.waiting:.0%}",
            flush=True,
        )
        if torch.cuda.is_available():
            print(
                f"       at most {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of the GPU", flush=True
            )
        for name in ("best.pt", "history.csv"):
            shutil.copyfile(folder / name, out / name)

    print(f"{len(vocabulary)} tokens; training begins after {time.monotonic() - began:.0f} s", flush=True)
    fit(job, folder, keep)
    save_model(load_model(folder / "best.pt"), out / "model.pt", half=True)
    shutil.copyfile(REPORT, out / "vocab-report.json")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="default")
    verbs = parser.add_subparsers(dest="verb", required=True)
    packing = verbs.add_parser("pack")
    packing.add_argument("out", type=Path)
    packing.add_argument("--wheels", type=Path)
    running = verbs.add_parser("run")
    running.add_argument("--minutes", type=float, required=True)
    running.add_argument("--out", type=Path, required=True)
    running.add_argument("--count", type=int, help="of synthetic formulas, instead of the preset's")
    running.add_argument("--batch", type=int)
    running.add_argument("--passes", type=int)
    running.add_argument("--epochs", type=int)
    running.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 1) - 1))
    options = parser.parse_args()
    if options.verb == "pack":
        pack(options.out, options.wheels, options.preset)
        print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")
        return
    params = load_params(preset=options.preset)
    given = {n: getattr(options, n) for n in ("batch", "passes", "epochs") if getattr(options, n) is not None}
    train = params.train.model_copy(update={"minutes": options.minutes, "workers": options.workers, **given})
    made = params.synthesize.model_copy(update={"count": options.count} if options.count is not None else {})
    run(params.model_copy(update={"train": train, "synthesize": made}), options.out)


if __name__ == "__main__":
    main()
