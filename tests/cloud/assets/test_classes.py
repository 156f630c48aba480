from pathlib import Path

import numpy as np
import pytest

import cloud.assets
from cloud.assets.classes import AssetClass, Wear
from cloud.assets.model import Model, parse_model, read_model
from protocols.tomlfile import ConfigError

EXAMPLES = sorted((Path(cloud.assets.__file__).parent / "examples").glob("*.toml"))
FOULING = next(path for path in EXAMPLES if path.stem == "fouling")
DHSV = next(path for path in EXAMPLES if path.stem == "dhsv")


def changed(old: str, new: str) -> Model:
    text = FOULING.read_text()
    assert old in text
    return parse_model(text.replace(old, new, 1), "fouling.toml")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_shipped_model_loads_and_says_where_its_failure_numbers_come_from(path: Path) -> None:
    model = read_model(path)
    assert all(len(kind.failure.source) > 20 for kind in model.classes)
    assert model.streams[0].product
    assert set(model.tags_of(model.sites[0].name)) == {tag.tag for asset in model.assets for tag in asset.tags}


def test_class_has_a_column_for_each_watched_role_and_each_derived_one() -> None:
    kind: AssetClass = read_model(FOULING).classes[0]
    assert [role.name for role in kind.columns] == ["gas_flow", "vibration", "efficiency"]
    assert kind.derived[0].of == (0, 1, 2, 3)
    assert kind.every_us == 1_000_000
    assert kind.failure.wear is Wear.WIENER
    assert kind.failure.clock == pytest.approx(2 / 365.25)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('formula = "polytropic_efficiency"', 'formula = "polytropic"', "expected one of polytropic_efficiency"),
        (
            'of = ["suction_pressure", ',
            'of = ["suction_presure", ',
            'no role "suction_presure" in this class, did you mean "suction_pressure"?',
        ),
        ('of = ["suction_pressure", ', "of = [", "takes suction pressure, discharge pressure, suction temperature, discharge temperature"),
        ('of = ["suction_pressure", ', 'of = ["suction_temperature", ', "suction pressure is taken in bar or kPa or MPa or Pa"),
        ("constant = 1.27", "constant = 0.5", "expected the ratio of specific heats, more than 1"),
        ("threshold         = 0.9", "threshold         = 1.5", "expected a degradation from 0 to 1"),
        ('worth             = "180d"', "worth             = 180", "expected a duration"),
        ("clock_per_year    = 2.0", "clock_per_year    = nan", "expected a number from 0 up"),
        ("sensor_sd         = 0.01\n", "sensor_sd         = 0.01\nage_eta_years = 9.0\n", 'key "age_beta" is missing'),
        ("sensor_sd         = 0.01\n", 'sensor_sd         = 0.01\nwear = "levy"\n', "expected one of wiener, gamma"),
        ('source            = "Assumed', 'source            = ""  # "Assumed', "expected where these numbers come from"),
        ("watched = false", "watched = false\nrequired = true", "is not watched, so health cannot require it"),
        ("deviation = 0.03", "deviation = 0.0", "expected more than 0"),
        ("adapt = 0.0", "adapt = 2.0", "expected a weight from 0 to 0.1"),
        ('name = "vibration"', 'name = "gas_flow"', 'role "gas_flow" is described twice'),
        ('role = "suction_pressure"', 'role = "vibration"', 'role "vibration" is bound twice to this asset'),
        ('shock_repair = "18h"', "", 'key "shock_repair" is missing'),
    ],
)
def test_class_that_cannot_be_meant_is_refused_with_its_cause(old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        changed(old, new)
    assert message in str(caught.value)
    assert str(caught.value).startswith("fouling.toml:")


def test_asset_without_the_tags_its_class_requires_is_refused() -> None:
    tag = '[[site.asset.tag]]\ntag = "platform1/compressor1.discharge_c"\nrole = "discharge_temperature"\n'
    with pytest.raises(ConfigError, match='requires the role "discharge_temperature"'):
        changed(tag, "")


def test_dead_sensor_may_be_bound_without_being_required() -> None:
    text = DHSV.read_text()
    tag = 'tag = "rig1/well1.p_tpt"\nrole = "transducer_pressure"\n'
    model = parse_model(text.replace(tag, tag + "required = false\n"))
    assert [binding.required for binding in model.assets[0].tags if binding.role == "transducer_pressure"] == [False]


def test_limits_left_out_are_none() -> None:
    kind = changed("low = 0.0\nhigh = 50.0\n", "").classes[0]
    vibration = next(role for role in kind.roles if role.name == "vibration")
    assert (vibration.low, vibration.high, vibration.rate) == (-np.inf, np.inf, np.inf)
