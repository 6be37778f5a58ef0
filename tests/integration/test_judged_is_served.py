"""What is judged is what is served: the bundled model answers over HTTP as in evaluation."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest

from components.data.datasets import LabelledFolder
from components.evaluation.reader import read_dataset
from components.ink.ink import Ink
from components.ink.inkml import write_inkml
from components.latex.tokenizer import detokenize
from components.recognizer.recognizer import Recognizer
from components.registry.bundles import SHIPPED
from components.synthesis.formula_grammar import formula
from components.synthesis.handwriting import Writer, set_formula
from tests.integration.conftest import SERVE, Registry, promoted, service_of

pytestmark = pytest.mark.slow


@pytest.fixture
def inks(tmp_path: Path) -> Path:
    """A folder of labelled InkML."""
    folder = tmp_path / "inks"
    folder.mkdir()
    rng = np.random.default_rng(11)
    for number in range(12):
        typeset = set_formula(formula(rng, 12))
        ink, _ = Writer(number, 11).write(typeset, f"ink{number:02d}", rng)
        write_inkml(Ink(ink.id, ink.strokes, detokenize(typeset.tokens)), folder / f"{ink.id}.inkml")
    return folder


def test_the_service_answers_as_evaluation_does(
    inks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not SERVE.exists():
        pytest.skip("needs the serving environment: ./setup.sh serve")
    recognizer = Recognizer.load(SHIPPED)
    assert recognizer.settings.decoding.beam > 1 and recognizer.settings.decoding.scales
    answers, rejects = read_dataset(LabelledFolder(inks, recognizer.settings.raster), recognizer)
    assert len(answers) == 12 and not rejects
    home = {"BENTOML_HOME": str(tmp_path / "bentoml"), "BENTOML_DO_NOT_TRACK": "true"}
    empty = Registry(tmp_path, home | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"})
    model = promoted(empty, "store").partition(":")[2]  # no champion yet: the bundled model
    monkeypatch.chdir(SERVE.parents[2])
    with service_of(empty, model) as service, httpx.Client(base_url=service.address, timeout=60) as client:
        for answer in answers:
            for n_best in (1, 3):  # how many readings are told does not change the first
                served = client.post(
                    "/predict/strokes",
                    params={"n_best": n_best, "names": "letters"},
                    content=(inks / f"{answer.id}.inkml").read_bytes(),
                    headers={"content-type": "application/inkml+xml"},
                ).json()
                assert served["formula"] == detokenize(answer.read)
                assert served["confidence"] == pytest.approx(answer.confidence, rel=1e-3, abs=1e-4)
