"""A SunSpec model becomes a device map that reads what the model says."""

import json
from pathlib import Path

import pytest

from edge.importers.draft import ImportFailed
from edge.importers.sunspec import import_sunspec
from protocols.devicemap import DeviceMap, TagType, load_device_map

MODELS = Path(__file__).parents[2] / "data" / "sunspec_models"


def imported(folder: Path, *files: Path, base: int = 40_000, repeat: int = 1) -> DeviceMap:
    (folder / "made.toml").write_text(import_sunspec(files, name="made", maker="Maker", base=base, repeat=repeat))
    return load_device_map(folder / "made.toml")


def test_inverter_model_has_scale_factors_sentinels_and_labels(tmp_path: Path) -> None:
    made = imported(tmp_path, MODELS / "model_103.json", base=40_069)
    tags = {tag.vendor.partition(":")[0]: tag for tag in made.tags}
    amps = tags["A"]
    assert (amps.name, amps.at, amps.type, amps.unit, amps.invalid) == ("ac_current", "holding:40071", TagType.FLOAT64, "A", 0xFFFF)
    assert (amps.extra.form, amps.extra.scale_at) == ("uint16", "holding:40075")
    assert (tags["W"].extra.form, tags["W"].invalid) == ("int16", -0x8000)
    assert tags["WH"].counter
    assert tags["St"].labels[4] == "MPPT"
    assert not {"ID", "L", "A_SF"} & set(tags)
    assert len(made.tags) == 31


def test_models_follow_each_other(tmp_path: Path) -> None:
    made = imported(tmp_path, MODELS / "model_1.json", MODELS / "model_103.json", base=40_002)
    assert [text.name for text in made.texts][:2] == ["manufacturer", "model"] or made.texts[0].length == 32
    assert next(tag for tag in made.tags if tag.name == "ac_current").at == "holding:40072"


def test_groups_of_groups_repeat(tmp_path: Path) -> None:
    once, twice = (len(imported(tmp_path, MODELS / "model_705.json", repeat=number).tags) for number in (1, 2))
    assert twice > once


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda group: group["points"][2].update(type="uint17"), 'type "uint17" is not known'),
        (lambda group: group["points"][2].update(sf="X_SF"), 'scale factor "X_SF" is not in the model'),
        (lambda group: group["points"][2].pop("size"), "expected"),
        (lambda group: group.update(points="many"), "expected a SunSpec model"),
        (lambda group: group.update(points=group["points"][:2]), "no points that are numbers"),
    ],
)
def test_faulty_model_is_refused_with_file_and_place(tmp_path: Path, change: object, message: str) -> None:
    document = json.loads((MODELS / "model_103.json").read_text())
    change(document["group"])  # type: ignore[operator]
    path = tmp_path / "model_103.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ImportFailed, match=message) as error:
        import_sunspec([path], name="made", maker="Maker", base=0)
    assert str(path) in str(error.value)
    with pytest.raises(ImportFailed):
        import_sunspec([tmp_path / "absent.json"], name="made", maker="Maker", base=0)
