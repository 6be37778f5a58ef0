"""8-bit weights: made where nothing is lost by them, and else not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from components.data.rows import row_of_ink
from components.data.shards import write_shard
from components.export import quantize
from components.ink.ink import Ink
from components.recognizer.bundle import DECODER, ENCODER, Bundle, bundled_model, load_bundle, seal_bundle
from components.recognizer.recognizer import Recognizer
from tests.recognizer.inks import formula


@pytest.fixture(scope="module")
def bundle() -> Path:
    """The bundled model: an untrained one would read something else after any rounding."""
    return bundled_model()


@pytest.fixture
def read(bundle: Path, tmp_path: Path) -> Path:
    """Inks, each labelled with what the bundle reads."""
    recognizer, rows = Recognizer.load(bundle), []
    for count in range(2, 8):
        strokes = formula()[:count]
        ink = Ink(f"ink{count}", strokes, recognizer.read_ink(strokes, beam=1).latex)
        rows.append(row_of_ink(ink, "", recognizer.settings.raster))
    (tmp_path / "split").mkdir()
    write_shard(rows, tmp_path / "split/part-00000.parquet")
    return tmp_path / "split"


def test_a_bundle_that_reads_as_well_is_made(
    bundle: Path, read: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "int8"
    assert quantize.main([str(bundle), str(out), "--data", str(read), "--beam", "1"]) == 0
    assert "ExpRate 100.00%" in capsys.readouterr().out
    graphs = onnx.load(out / DECODER).graph
    assert {w.data_type for w in graphs.initializer} >= {onnx.TensorProto.INT8}
    assert (out / ENCODER).stat().st_size < (bundle / ENCODER).stat().st_size
    assert load_bundle(out).version != load_bundle(bundle).version
    assert {path.name for path in tmp_path.iterdir()} == {"int8", "split"}


def test_one_that_reads_worse_is_refused_and_what_was_there_stays(
    bundle: Path,
    read: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def spoilt(folder: Path, out: Path) -> Bundle:
        """As if rounding had turned all that the decoder learnt around."""
        shutil.copytree(folder, out, dirs_exist_ok=True)
        model = onnx.load(out / DECODER)
        for weight in model.graph.initializer:
            array = numpy_helper.to_array(weight)
            if array.dtype == np.float32:
                weight.CopyFrom(numpy_helper.from_array(-array, weight.name))
        onnx.save(model, out / DECODER)
        bundle = load_bundle(folder)
        return seal_bundle(out, bundle.settings, bundle.about)

    monkeypatch.setattr(quantize, "quantize", spoilt)
    out = tmp_path / "int8"
    out.mkdir()
    (out / "kept").touch()
    assert quantize.main([str(bundle), str(out), "--data", str(read), "--beam", "1"]) == 1
    assert "more than 0.3% worse, so it is not written" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["kept"]
    assert {path.name for path in tmp_path.iterdir()} == {"int8", "split"}


def test_what_is_no_bundle_is_said_so(read: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quantize.main([str(tmp_path / "none"), str(tmp_path / "out"), "--data", str(read)]) == 1
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
