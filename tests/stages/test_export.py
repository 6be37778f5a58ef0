"""The exported bundle reads as PyTorch does, or there is none."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from components.config import Params
from components.ink.raster import RasterSettings
from components.latex.vocabulary import EOS, Vocabulary
from components.model.checkpoint import load_model
from components.model.torch_engine import TorchEngine
from components.recognizer.bundle import FILES, BundleError, BundleSettings, DecodingConfig, load_bundle
from components.recognizer.engine import KVCache
from components.recognizer.recognizer import Recognizer
from components.stages.export import ExportError, compare, preference
from tests.recognizer.engines import TableEngine
from tests.tiny import tiny_model

TEST = Path("data/shards/test")


@pytest.fixture
def here(exported: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(exported)
    return exported


@pytest.fixture
def by_torch(here: Path) -> Recognizer:
    checkpoint = load_model(here / "data/model.pt")
    return Recognizer(
        TorchEngine(checkpoint.model), checkpoint.vocabulary, load_bundle(Path("data/bundle")).settings
    )


@pytest.mark.slow
def test_the_bundle_is_complete_and_says_how_it_compares(here: Path) -> None:
    assert {path.name for path in Path("data/bundle").iterdir()} == set(FILES)
    report = json.loads(Path("reports/export.json").read_text())
    assert report["inks"] == report["equal"] + report["ties"] == 12 and report["ties"] == 0
    bundle = load_bundle(Path("data/bundle"))
    assert report["version"] == bundle.version
    picture = cv2.imread(str(bundle.example), cv2.IMREAD_GRAYSCALE)
    [example] = Recognizer.load(bundle.folder).read([picture], beam=1)
    assert example.latex == bundle.about.example
    assert bundle.about.parameters > 1000 and "Transformer decoder" in bundle.about.architecture
    assert "50.0%" in Path("data/bundle/card.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("size", [(16, 20), (120, 70), (40, 300)])
def test_any_size_any_number_any_beam_reads_as_in_pytorch(
    by_torch: Recognizer, count: int, size: tuple[int, int]
) -> None:
    ours = Recognizer.load(Path("data/bundle"), threads=1)
    rng = np.random.default_rng(count)
    pictures = [np.where(rng.random(size) < 0.2, 0, 255).astype(np.uint8) for _ in range(count)]
    for beam in (1, 3):
        theirs = by_torch.read(pictures, beam, beam)
        for one, other in zip(ours.read(pictures, beam, beam), theirs, strict=True):
            assert (one.latex, len(one.alternatives)) == (other.latex, len(other.alternatives))
            assert [one.confidence, *(a.confidence for a in one.alternatives)] == pytest.approx(
                [other.confidence, *(a.confidence for a in other.alternatives)], rel=1e-3
            )


@pytest.mark.slow
def test_buffers_that_grow_shrink_and_change_places_are_read_as_in_pytorch(by_torch: Recognizer) -> None:
    theirs, ours = by_torch.engine, Recognizer.load(Path("data/bundle")).engine
    rng = np.random.default_rng(2)
    memory = theirs.encode(rng.random((3, 1, 32, 48), np.float32))
    pasts = [KVCache.empty(memory, 2, capacity=1) for _ in range(2)]
    for rows in ([0, 1, 2, 3, 4, 5], [1, 1, 2, 3, 5, 4], [0, 1, 4, 5], [1, 0, 2, 2], [2, 3], [1, 0]):
        if len(rows) < len(pasts[0].keys[0]):
            memory = memory.select(np.array(rows[::2]) // 2)
        tokens = rng.integers(0, 9, (len(rows), 1))
        logits = []
        for cache, engine in zip(pasts, (theirs, ours), strict=True):
            cache.select(np.array(rows))
            step = engine.step(tokens, cache, memory)
            logits.append(step.logits.copy())
            cache.append(step)
        np.testing.assert_allclose(*logits, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_pictures_of_all_sizes_read_together_as_alone(here: Path, beam: int, threads: int) -> None:
    ours = Recognizer.load(Path("data/bundle"), threads)
    rng = np.random.default_rng(beam)
    sizes = [(16, 20), (120, 70), (40, 300), (16, 20), (17, 33)]
    pictures = [np.where(rng.random(size) < 0.2, 0, 255).astype(np.uint8) for size in sizes]
    for picture, reading in zip(pictures, ours.read(pictures, beam), strict=True):
        [alone] = ours.read([picture], beam)
        assert reading.tokens == alone.tokens
        assert reading.confidence == pytest.approx(alone.confidence, rel=1e-4)


@pytest.mark.slow
def test_the_graphs_tell_nothing_of_the_machine(here: Path) -> None:
    for name in ("encoder.onnx", "decoder.onnx"):
        assert b".py" not in (here / "data/bundle" / name).read_bytes()


@pytest.mark.slow
def test_a_changed_file_is_noticed(here: Path, tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes((here / "data/bundle" / name).read_bytes())
    load_bundle(tmp_path)
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(BundleError, match=r"vocab\.json: "):
        load_bundle(tmp_path)
    (tmp_path / "decoder.onnx").unlink()
    with pytest.raises(BundleError, match=r"decoder\.onnx: "):
        load_bundle(tmp_path)


def test_other_weights_are_refused(project: Path, params: Params) -> None:
    checkpoint = load_model(project / "data/model.pt")
    settings = BundleSettings(
        raster=RasterSettings(), multiple=checkpoint.model.multiple, decoding=DecodingConfig(max_tokens=12)
    )
    readers = [
        Recognizer(TorchEngine(model), checkpoint.vocabulary, settings)
        for model in (checkpoint.model, tiny_model(params, checkpoint.vocabulary, seed=2))
    ]
    with pytest.raises(ExportError, match="ink0: PyTorch reads"):
        compare(*readers, project / TEST, 0)
    assert compare(readers[0], readers[0], project / TEST, 5).equal == 5


def test_preference_is_at_the_first_token_that_differs() -> None:
    vocabulary = Vocabulary.build([["a", "b"]])
    a, b = vocabulary.encode("ab")
    table = {(): {a: 1.0}, (a,): {a: 0.2, b: 0.5, EOS: 0.3}}
    settings = BundleSettings(raster=RasterSettings(), multiple=4, decoding=DecodingConfig(max_tokens=4))
    recognizer = Recognizer(TableEngine([table], len(vocabulary)), vocabulary, settings)
    black = np.zeros((4, 4), np.uint8)
    assert preference(recognizer, black, ["a", "b"], ["a"]) == pytest.approx(math.log(0.5 / 0.3), rel=1e-5)
    assert preference(recognizer, black, ["a", "a"], ["a", "b", "a"]) == pytest.approx(
        math.log(0.4), rel=1e-5
    )
