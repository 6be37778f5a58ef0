"""Stage `train`: train the model, or resume an interrupted training; tracked in MLflow."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.config import Params, ParamsError, load_params
from components.data.shards import SPLITS, data_hash
from components.files import atomic_write, write_json
from components.latex.vocabulary import Vocabulary, VocabularyError

SHARDS, SYNTHETIC, VOCAB, RUNS, MODEL = (
    Path("data/shards"),
    Path("data/synthetic"),
    Path("data/vocab.json"),
    Path("data/training"),
    Path("data/model.pt"),
)
SYMBOLS = Path("data/symbols.parquet")
SUMMARY, HISTORY = Path("reports/train.json"), Path("reports/history.csv")
_SHOWN = 12  # pictures of valid logged to MLflow, with their predictions


def train(params: Params) -> dict[str, Any]:
    """Train and write model, summary and history; returns the summary."""
    from components.model.trainer import Epoch, TrainingJob, best_model, fit

    more = [SYNTHETIC] if any(params.train.synthetic) else []
    job = TrainingJob(
        shards=SHARDS,
        symbols=SYMBOLS if params.synthesize.count else None,
        synthetic=SYNTHETIC,
        vocabulary=Vocabulary.load(VOCAB),
        raster=params.raster.settings,
        model=params.model,
        train=params.train,
        seed=params.seed,
        sources=params.data.sources,
        weights=params.data.weights,
        data_hash=data_hash([*(SHARDS / split for split in SPLITS), *more]),
    )
    folder = RUNS / job.fingerprint
    forget_others(folder)

    def tell(epoch: Epoch) -> None:
        print(
            f"epoch {epoch.epoch + 1:3d}/{job.train.epochs}  loss {epoch.train_loss:.3f}  valid "
            f"{epoch.valid_loss:.3f}  ExpRate {epoch.valid_exprate:6.1%}  lr {epoch.lr:.5f}  "
            f"{epoch.inks_per_second:5.0f} inks/s  waiting {epoch.waiting:.0%}  {epoch.seconds:.0f} s",
            flush=True,
        )
        if mlflow_run is not None:
            mlflow_run.log_epoch(epoch)

    with tracked(params, job.data_hash, folder) as mlflow_run:
        history = fit(job, folder, tell)
        best = max(history, key=lambda e: (e.valid_exprate, -e.valid_loss))
        with atomic_write(MODEL) as temporary:
            shutil.copyfile(folder / "best.pt", temporary)
        checkpoint = best_model(folder)
        summary = {
            "epochs": len(history),
            "best_epoch": best.epoch + 1,
            "valid_exprate": best.valid_exprate,
            "valid_loss": best.valid_loss,
            "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
            "seconds": round(sum(e.seconds for e in history), 1),
            "inks_per_second": sorted(e.inks_per_second for e in history)[len(history) // 2],
            "waiting": sum(e.waiting * e.seconds for e in history) / sum(e.seconds for e in history),
            "mlflow_run": mlflow_run.id if mlflow_run is not None else None,
        }
        if mlflow_run is not None:
            mlflow_run.log_result(summary, checkpoint)
    with atomic_write(HISTORY) as temporary:
        shutil.copyfile(folder / "history.csv", temporary)
    write_json(summary, SUMMARY)
    return summary


def forget_others(folder: Path) -> None:
    """Remove checkpoints of trainings with other parameters or data: DVC keeps their results."""
    for other in RUNS.glob("*"):
        if other != folder and other.is_dir():
            shutil.rmtree(other)


class Tracked:
    """The MLflow run of a training; a resumed training continues it."""

    def __init__(self, mlflow: Any, id: str) -> None:
        self.mlflow, self.id = mlflow, id

    def log_epoch(self, epoch: Any) -> None:
        metrics = {name: value for name, value in vars(epoch).items() if name != "epoch"}
        self.mlflow.log_metrics(metrics, step=epoch.epoch)

    def log_result(self, summary: dict[str, Any], checkpoint: Any) -> None:
        self.mlflow.log_metrics({f"best_{name}": summary[name] for name in ("valid_exprate", "valid_loss")})
        self.mlflow.log_params({"parameters": summary["parameters"]})
        self.mlflow.log_artifact(str(VOCAB))
        self.mlflow.log_figure(samples(checkpoint), "valid_samples.png")


@contextmanager
def tracked(params: Params, data: str, folder: Path) -> Iterator[Tracked | None]:
    """Open the training's MLflow run on rank 0; None on other ranks of a DDP run."""
    if os.environ.get("LOCAL_RANK", "0") != "0" or os.environ.get("NODE_RANK", "0") != "0":
        yield None
        return
    from components.registry.mlflow_client import connect, git_commit

    mlflow = connect(params.register_.name)
    note = folder / "mlflow_run"
    known = note.read_text() if note.exists() else None
    # If the run is gone (another server, a fresh database), a new one continues the training.
    if known and not _exists(mlflow, known):
        known = None
    with mlflow.start_run(run_id=known, log_system_metrics=True) as run:
        if not known:
            folder.mkdir(parents=True, exist_ok=True)
            note.write_text(run.info.run_id)
            flat = {
                f"{section}.{name}": value
                for section in ("data", "raster", "model", "train")
                for name, value in getattr(params, section).model_dump(mode="json").items()
            }
            mlflow.log_params({"seed": params.seed, "preset": params.preset, **flat})
            mlflow.set_tags({"data_hash": data, "git_commit": git_commit()})
        yield Tracked(mlflow, run.info.run_id)


def samples(checkpoint: Any) -> Any:
    """A figure of some pictures of valid with labels and predictions."""
    from matplotlib.figure import Figure

    from components.model.dataset import InkDataset
    from components.model.torch_engine import TorchEngine
    from components.recognizer.recognizer import Recognizer

    model = checkpoint.model
    inks = InkDataset(
        SHARDS / "valid", checkpoint.vocabulary, checkpoint.raster,
        stride=model.stride, multiple=model.multiple, max_tokens=model.params.max_tokens, seed=0,
    )  # fmt: skip
    shown = range(0, len(inks), max(1, len(inks) // _SHOWN))[:_SHOWN]
    pictures = [inks.picture(index) for index in shown]
    readings = Recognizer(TorchEngine(model), checkpoint.vocabulary, checkpoint.settings()).read(pictures)
    figure = Figure(figsize=(11, 1.3 * -(-len(pictures) // 2)), layout="constrained")
    panels = figure.subplots(-(-len(pictures) // 2), 2, squeeze=False).ravel()
    for panel in panels:
        panel.axis("off")
    for panel, index, picture, reading in zip(panels, shown, pictures, readings, strict=False):
        panel.imshow(picture, cmap="gray", vmin=0, vmax=255)
        right = reading.latex == inks.latex[index]
        said = reading.latex if right else f"{reading.latex}\nnot {inks.latex[index]}"
        panel.set_title(said.replace("$", r"\$"), fontsize=7, color="green" if right else "firebrick",
                        parse_math=False)  # fmt: skip
    return figure


def _exists(mlflow: Any, run: str) -> bool:
    try:
        mlflow.get_run(run)
    except mlflow.MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return False
    return True


def main() -> None:
    """Run the stage with params.yaml."""
    # Silences Lightning's advertisements and advice; errors still show.
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    # oneDNN caches a kernel per layer and batch size: make room for all of them.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "100000")
    try:
        summary = train(load_params())
    except (ParamsError, VocabularyError, ValueError, OSError) as error:
        sys.exit(f"train: {error}")
    print(
        f"{MODEL}: ExpRate {summary['valid_exprate']:.1%} on valid after epoch {summary['best_epoch']}, "
        f"{summary['parameters']:,} parameters, {summary['seconds']:.0f} s. History: {HISTORY}. "
        "Runs: MLFLOW_DISABLE_TELEMETRY=true mlflow ui"
    )


if __name__ == "__main__":
    main()
