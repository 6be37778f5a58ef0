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
from typing import TYPE_CHECKING, Any

from components.config import Params, ParamsError, load_params
from components.data.shards import SPLITS, data_hash
from components.files import atomic_write, write_json
from components.latex.vocabulary import Vocabulary, VocabularyError

if TYPE_CHECKING:
    from components.model.trainer import TrainingJob

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


def train(params: Params) -> dict[str, Any] | None:
    """Train and write model, summary and history; returns the summary.

    Of several processes rank 0 alone writes and logs; the others return None.
    """
    from components.model.allocator import keep_freed_memory
    from components.model.distributed import end_with_parent, rank, world_of
    from components.model.exclusive import only_trainer
    from components.model.trainer import TrainingJob, fit

    keep_freed_memory()
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
        world=world_of(params.train),
    )
    folder = RUNS / job.fingerprint
    if rank():
        end_with_parent()
        fit(job, folder)
        return None
    with only_trainer(RUNS):
        return _train(params, job, folder)


def _train(params: Params, job: TrainingJob, folder: Path) -> dict[str, Any]:
    """Train in `folder`, as the only trainer."""
    from components.model.trainer import Epoch, best_model, fit

    forget_others(folder)

    def tell(epoch: Epoch) -> None:
        print(
            f"epoch {epoch.epoch + 1:3d}/{job.train.epochs}  loss {epoch.train_loss:.3f}  valid "
            f"{epoch.valid_loss:.3f}  ExpRate {epoch.valid_exprate:6.1%}  lr {epoch.lr:.5f}  "
            f"{epoch.inks_per_second:5.0f} inks/s  waiting {epoch.waiting:.0%}  {epoch.seconds:.0f} s",
            flush=True,
        )
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
            "mlflow_run": mlflow_run.id,
        }
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
    """The MLflow run of a training; a resumed training continues it.

    MLflow's faults do not stop a training: metrics that could not be sent are sent with the next ones.
    """

    def __init__(self, mlflow: Any, id: str) -> None:
        self.mlflow, self.id = mlflow, id
        self._pending: list[tuple[int, dict[str, float]]] = []  # epochs not sent yet

    def log_epoch(self, epoch: Any) -> None:
        metrics = {name: value for name, value in vars(epoch).items() if name != "epoch"}
        self._pending.append((epoch.epoch, metrics))
        with self._tolerated("metrics are kept and sent with those of the next epoch"):
            self._send()

    def log_result(self, summary: dict[str, Any], checkpoint: Any) -> None:
        figure = samples(checkpoint)
        with self._tolerated(f"the run lacks metrics or pictures; {HISTORY} and {SUMMARY} have the metrics"):
            self._send()
            best = {f"best_{name}": summary[name] for name in ("valid_exprate", "valid_loss")}
            self.mlflow.log_metrics(best)
            self.mlflow.log_params({"parameters": summary["parameters"]})
            self.mlflow.log_artifact(str(VOCAB))
            self.mlflow.log_figure(figure, "valid_samples.png")

    def end(self, status: str) -> None:
        with self._tolerated(f"run {self.id} is not marked as {status}"):
            self.mlflow.end_run(status)

    def _send(self) -> None:
        while self._pending:
            step, metrics = self._pending[0]
            self.mlflow.log_metrics(metrics, step=step)
            self._pending.pop(0)

    @contextmanager
    def _tolerated(self, consequence: str) -> Iterator[None]:
        from components.registry.mlflow_client import TrackingError, tracking_errors

        try:
            with tracking_errors():
                yield
        except TrackingError as error:
            print(f"train: training goes on, {consequence}: {error}", file=sys.stderr, flush=True)


@contextmanager
def tracked(params: Params, data: str, folder: Path) -> Iterator[Tracked]:
    """Open the training's MLflow run."""
    from components.registry.mlflow_client import connect, tracking_errors

    mlflow = connect(params.register_.name)  # before training: whether the server answers
    with tracking_errors():
        run = Tracked(mlflow, _start(mlflow, params, data, folder / "mlflow_run"))
    try:
        yield run
    except BaseException:
        run.end("FAILED")
        raise
    run.end("FINISHED")


def _start(mlflow: Any, params: Params, data: str, note: Path) -> str:
    """Start a run, or continue the one that `note` names; return its ID."""
    from components.registry.mlflow_client import git_commit

    known = note.read_text() if note.exists() else None
    # If the run is gone (another server, a fresh database), a new one continues the training.
    if known and not _exists(mlflow, known):
        known = None
    run = mlflow.start_run(run_id=known, log_system_metrics=True)
    if not known:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(run.info.run_id)
        flat = {
            f"{section}.{name}": value
            for section in ("data", "raster", "model", "train")
            for name, value in getattr(params, section).model_dump(mode="json").items()
        }
        mlflow.log_params({"seed": params.seed, "preset": params.preset, **flat})
        mlflow.set_tags({"data_hash": data, "git_commit": git_commit()})
    id: str = run.info.run_id
    return id


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
        right = reading.latex == inks.latex(index)
        said = reading.latex if right else f"{reading.latex}\nnot {inks.latex(index)}"
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
    if summary is None:
        return
    print(
        f"{MODEL}: ExpRate {summary['valid_exprate']:.1%} on valid after epoch {summary['best_epoch']}, "
        f"{summary['parameters']:,} parameters, {summary['seconds']:.0f} s. History: {HISTORY}. "
        "Runs: MLFLOW_DISABLE_TELEMETRY=true mlflow ui"
    )


if __name__ == "__main__":
    main()
