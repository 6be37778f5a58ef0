from pathlib import Path

import pytest
import yaml

from components.config import ParamsError, load_params

ROOT = Path(__file__).parent.parent
PRESETS = sorted((ROOT / "presets").glob("*.yaml"))


def written(tmp_path: Path, change: str = "", preset: str = "demo", overlay: str = "{}") -> Path:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "demo.yaml").write_text(overlay)
    text = (ROOT / "params.yaml").read_text().replace("preset: demo", f"preset: {preset}")
    (tmp_path / "params.yaml").write_text(text + change)
    return tmp_path / "params.yaml"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_is_valid_and_has_every_section_that_dvc_asks_for(preset: Path, tmp_path: Path) -> None:
    overlay = preset.read_text()
    load_params(written(tmp_path, overlay=overlay))
    asked = {
        section
        for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
        for entry in stage["params"]
        if isinstance(entry, dict)
        for sections in entry.values()
        for section in sections
    }
    assert asked <= set(yaml.safe_load(overlay))


def test_another_preset_can_be_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, preset="ci", overlay="{train: {epochs: 3}}")
    asked = load_params(path, preset="demo")
    assert asked.preset == "demo" and asked.train.epochs == 3
    with pytest.raises(ParamsError, match="unknown preset 'other'; known: demo"):
        load_params(path, preset="other")


def test_the_preset_wins(tmp_path: Path) -> None:
    params = load_params(written(tmp_path, overlay="train: {epochs: 3, augment: {noise: 0.5}}"))
    assert (params.train.epochs, params.train.augment.noise) == (3, 0.5)
    assert params.train.augment.rotate == load_params(ROOT / "params.yaml").train.augment.rotate


def test_an_unknown_preset_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="unknown preset 'nothing'; known: demo"):
        load_params(written(tmp_path, preset="nothing"))


@pytest.mark.parametrize(
    ("overlay", "field"),
    [
        ("train: {epochs: 0}", r"train\.epochs"),
        ("train: {epoch: 3}", r"train\.epoch: Extra"),
        ("data: {source: internet}", r"data\.source"),
        ("raster: {pen: thick}", r"raster\.pen"),
        ("data: {max_corrections: 1}", r"data\.max_corrections"),  # nothing else would be in train
        ("monitor: {p_value: 5}", r"monitor\.p_value"),
    ],
)
def test_a_wrong_value_is_named_by_its_field(tmp_path: Path, overlay: str, field: str) -> None:
    with pytest.raises(ParamsError, match=field):
        load_params(written(tmp_path, overlay=overlay))


def test_text_that_is_no_yaml_is_named_by_its_file(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml: not YAML"):
        load_params(written(tmp_path, change="\n\tx: ["))


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="top folder"):
        load_params(tmp_path / "params.yaml")
