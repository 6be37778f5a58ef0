"""Where pictures are encoded: on the GPU if there is one that works, else on the CPU."""

from __future__ import annotations

import logging

import onnxruntime
import pytest

from components.recognizer.bundle import EXAMPLE, bundled_model
from components.recognizer.device import CPU, CUDA, providers, warn_of_fallback
from components.recognizer.engine import OnnxEngine
from components.recognizer.recognizer import Recognizer


@pytest.fixture(autouse=True)
def nothing_said_yet() -> None:
    warn_of_fallback.cache_clear()


def test_a_gpu_comes_first_unless_the_cpu_is_asked_for() -> None:
    assert providers("auto", [CUDA, CPU]) == providers("cuda", [CUDA, CPU]) == [CUDA, CPU]
    assert providers("cpu", [CUDA, CPU]) == providers("auto", [CPU]) == [CPU]


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="there is a GPU")
def test_without_cuda_the_cpu_reads_and_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    example = (bundled_model() / EXAMPLE).read_bytes()
    with caplog.at_level(logging.WARNING):
        asked = Recognizer.load(bundled_model(), device="cuda")
        assert asked.read_file(example) == Recognizer.load(bundled_model()).read_file(example)
        Recognizer.load(bundled_model(), device="auto")
    [record] = [record for record in caplog.records if record.name == "components.recognizer.device"]
    assert record.getMessage().startswith("DEVICE: reading on the CPU: ")
    assert isinstance(asked.engine, OnnxEngine) and not asked.engine.on_gpu


def test_a_provider_that_does_not_start_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As with onnxruntime-gpu on a machine without a GPU: the provider is listed, but falls back."""
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda model, options, providers: real(model, options, providers=[CPU]),
    )
    with caplog.at_level(logging.WARNING):
        recognizer = Recognizer.load(bundled_model(), device="auto")
    assert [record.name for record in caplog.records] == ["components.recognizer.device"]
    assert isinstance(recognizer.engine, OnnxEngine) and not recognizer.engine.on_gpu
