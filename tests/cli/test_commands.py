"""The commands for people: what they do, and what they say where they can't. `predict`: tests/recognizer."""

from __future__ import annotations

import os
import socket
import webbrowser
from pathlib import Path

import pytest
from bentoml import Tag
from PIL import Image

from components.__main__ import main
from components.cli import doctor, serve
from components.deployment import model_store


@pytest.mark.parametrize(
    "words",
    [[], ["predict"], ["serve"], ["doctor"], ["data"], ["data", "show"], ["report"], ["report", "open"]],
)
def test_help_has_examples(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert "examples:\n  python -m components" in capsys.readouterr().out


def test_samples_of_a_split_are_drawn_with_their_labels(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(name: str, *options: str) -> Image.Image:
        out = tmp_path / "new" / name
        shards = ["--shards", str(project / "data/shards")]
        assert main(["data", "show", "test", "--out", str(out), *shards, *options]) == 0
        assert capsys.readouterr().out == f"{out}\n"
        return Image.open(out)

    few, same, other = (shown(f"{n}.png", "--count", "5", "--seed", str(n // 2)) for n in range(3))
    assert few.size == (4 * 320, 2 * 190) and few.tobytes() == same.tobytes() != other.tobytes()
    first = few.crop((0, 0, 320, 190))
    picture, label = first.crop((1, 1, 319, 120)), first.crop((1, 120, 319, 189))
    assert picture.getextrema()[0] < 64 and label.getextrema()[0] < 64, "ink, and what it says"
    assert shown("all.png", "--count", "999").size == (4 * 320, 3 * 190), "twelve are all there are"


def test_without_shards_it_says_what_makes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "show", "test", "--shards", str(tmp_path)]) == 1
    assert "run `dvc repro rasterize` first" in capsys.readouterr().err


def test_a_report_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", "open", "drift"]) == 1
    assert "reports/drift/drift.html: " in capsys.readouterr().err
    (tmp_path / "reports").mkdir()
    file = tmp_path / "reports/worst.html"
    file.write_text("<p>")
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or len(opened) == 1)
    assert main(["report", "open"]) == main(["report", "open"]) == 0
    assert opened == [file.as_uri()] * 2
    out, err = capsys.readouterr()
    assert out == f"{file}\n" * 2 and err == "report: no browser found; open that file in one\n"


def test_serving_begins_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    assert main(["serve"]) == 1
    assert "make serve" in capsys.readouterr().err


class TestServing:
    """What the process becomes, and which model it is given."""

    @pytest.fixture(autouse=True)
    def became(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], str | None]]:
        monkeypatch.chdir(tmp_path)
        for name in ("AUTH", "MLFLOW_TRACKING_URI"):
            monkeypatch.delenv(name, raising=False)
        became: list[tuple[list[str], str | None]] = []
        monkeypatch.setattr(os, "execve", lambda _, words, env: became.append((words, env.get("AUTH"))))
        return became

    def test_without_a_registry_the_bundled_model_is_served(
        self, became: list[tuple[list[str], str | None]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model_store, "store_bundled_model", lambda name: Tag(name, "shipped-1"))
        main(["serve", "--port", "3001", "--open"])
        [(words, auth)] = became
        assert words[1:5] == ["-m", "bentoml", "serve", "service:HandwrittenMath"] and auth == "off"
        assert "model=shipped-1" in words and words[-4:] == ["--host", "127.0.0.1", "--port", "3001"]

    def test_with_a_registry_its_champion_is_served(
        self, became: list[tuple[list[str], str | None]], tmp_path: Path
    ) -> None:
        (tmp_path / "mlflow.db").touch()
        (tmp_path / "flows.py").write_text("import sys; print(f'said {sys.argv[1:]}'); print('m:v3')")
        main(["serve"])
        [(words, auth)] = became
        assert "model=v3" in words and auth is None
        (tmp_path / "flows.py").write_text("raise SystemExit('store: nothing is registered')")
        assert main(["serve"]) == 1 and len(became) == 1

    def test_a_folder_without_a_bundle_is_refused(
        self, became: list[tuple[list[str], str | None]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["serve", "--model", "nowhere"]) == 1 and not became
        assert "nowhere" in capsys.readouterr().err


def test_the_doctor_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert main(["doctor"]) == 0
    monkeypatch.setattr(doctor, "bundled_model", lambda: tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 3000))
        taken.listen()
        assert main(["doctor"]) == 1
    out = capsys.readouterr().out
    errors = [line for line in out.splitlines() if line.startswith("error")]
    assert len(errors) == 2 and "encoder.onnx" in errors[0] and "127.0.0.1:9" in errors[1]
    assert "warning port 3000 is taken" in out
