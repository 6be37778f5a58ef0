"""The commands for people: what they do, and what they say where they can't. `predict`: tests/recognizer."""

from __future__ import annotations

import os
import webbrowser
from pathlib import Path

import pytest
from PIL import Image

from components.__main__ import main


@pytest.mark.parametrize(
    "words", [[], ["predict"], ["serve"], ["data"], ["data", "show"], ["report"], ["report", "open"]]
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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["serve"]) == 1
    assert "./setup.sh serve" in capsys.readouterr().err


def test_the_stored_model_is_served_with_these_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    served = tmp_path / ".venv-serve/bin/bentoml"
    served.parent.mkdir(parents=True)
    served.touch()
    (tmp_path / "flows.py").write_text("import sys; print(f'said {sys.argv[1:]}'); print('m:v3')")
    became: list[tuple[list[str], str | None]] = []
    monkeypatch.setattr(os, "execve", lambda _, words, env: became.append((words[1:], env.get("AUTH"))))
    monkeypatch.delenv("AUTH", raising=False)
    main(["serve", "--port", "3001", "--open"])
    main(["serve"])
    usual = ["serve", "service:HandwrittenMath", "--arg", "model=v3", "--host", "127.0.0.1", "--port"]
    assert became == [([*usual, "3001"], "off"), ([*usual, "3000"], None)]
    (tmp_path / "flows.py").write_text("raise SystemExit('store: nothing is registered')")
    assert main(["serve"]) == 1
    assert len(became) == 2
