from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloud.assets import AssetError
from cloud.assets.assess import AssetHealth, advance, start
from cloud.assets.classes import DAY_US
from cloud.assets.model import Model, parse_model
from cloud.assets.outages import Draws, Shocks, simulate_shocks
from cloud.assets.outlook import Horizon, StreamOutlook, foresee, plan, share, units
from tests.cloud.assets.wells import HEAD, SECOND_US, START_US, STREAM, noise, samples, wells

HORIZON, DRAWS = Horizon(START_US, 60, 5), Draws(3, 600)


def sound(model: Model) -> tuple[AssetHealth, ...]:
    count = len(model.assets)
    return advance(model, "rig", start(model, "rig"), samples(noise(1, 60, count)), START_US + 59 * SECOND_US)[1]


def at_level(found: Sequence[AssetHealth], level: float, *assets: str) -> tuple[AssetHealth, ...]:
    return tuple(replace(one, level=level, index=1 - level) if not assets or one.asset in assets else one for one in found)


def clocked(model: Model, rate: float) -> Model:
    classes = tuple(replace(kind, failure=replace(kind.failure, clock=rate)) for kind in model.classes)
    return replace(model, classes=classes)


def bare(failure: str, more: str = "", asset: str = "") -> Model:
    """Two assets without tags whose class has that failure behaviour."""
    assets = "".join(
        f'[[site.asset]]\nname = "a{number}"\nclass = "well"\nnameplate = 100.0\nunit = "m3/d"\n{asset}\n' for number in range(2)
    )
    node = '[[site.node]]\nname = "all"\nkind = "parallel"\nparts = ["a0", "a1"]\n'
    return parse_model(f'{HEAD}{failure}\n[[site]]\nname = "rig"\n{more}\n{assets}{node}{STREAM}')


def test_without_hazard_the_stream_delivers_nameplate() -> None:
    model = clocked(wells(), 0.0)
    found = foresee(model, "oil", at_level(sound(model), -5.0), HORIZON, DRAWS)
    assert np.array_equal(found.total, np.full((600, 12), 15_000.0))
    assert found.nameplate.sum() == pytest.approx(3 * 60 * 1000.0)
    assert found.quantiles.shape == (6, 12)


def test_with_endless_hazard_nothing_is_delivered() -> None:
    model = clocked(wells(), np.inf)
    assert not foresee(model, "oil", sound(model), HORIZON, DRAWS).delivered.any()


@pytest.mark.parametrize(
    ("kind", "more", "stream"),
    [
        ("parallel", "", ""),
        ("series", "", ""),
        ("k_of_n", "k = 2\n", ""),
        ("parallel", "capacity = 2000.0\n", ""),
        ("parallel", "", "cap_per_day = 2500.0\nstock = 3000.0\nstock_most = 9000.0\n"),
        ("series", "", "cap_per_day = 900.0\nstock_most = 5000.0\n"),
    ],
    ids=["parallel", "series", "two of three", "capped node", "cap and stock", "series with cap and stock"],
)
def test_units_add_up_to_what_the_stream_delivers(kind: str, more: str, stream: str) -> None:
    model = wells(3, kind, more, stream)
    model = clocked(model, 1 / 20)
    ill = at_level(sound(model), 0.9, "well1")
    found = foresee(model, "oil", ill, HORIZON, DRAWS)
    own = model.stream("oil")
    course = plan(own, HORIZON)
    bare_found = _stream_volume(model, ill)
    assert found.delivered.min() >= 0
    np.testing.assert_allclose(found.total, bare_found, rtol=1e-12, atol=1e-6)
    assert found.delivered.shape == (600, 12, 3) == found.produced.shape
    assert np.all(found.total <= course.cap + 1e-6)


def _stream_volume(model: Model, healths: Sequence[AssetHealth]) -> np.ndarray:
    from cloud.assets.forecast import forecast
    from cloud.assets.outlook import _key

    own = model.stream("oil")
    keyed = replace(DRAWS, site=_key("rig"), keys=tuple(_key(asset.name) for asset in own.assets))
    return forecast(units(model, own, healths), own.topology, plan(own, HORIZON), keyed).delivered


@settings(max_examples=40)
@given(
    st.lists(st.floats(0, 100), min_size=3, max_size=3),
    st.lists(st.floats(0, 1), min_size=3, max_size=3),
    st.floats(0, 400),
)
@example([0.0, 0.0, 5e-324], [0.0, 0.0, 0.0], 1.0)
def test_shares_are_not_negative_and_add_up(own: list[float], down: list[float], volume: float) -> None:
    total = sum(own)
    weight = np.array([own]) / total if total > 0 else np.full((1, 3), 1 / 3)
    lost = (np.array(own) * down)[:, None, None]
    found = share(np.array([[volume]]), np.array([total]), weight, lost)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(volume, abs=1e-9)


def test_only_the_failed_unit_loses_where_units_add_up() -> None:
    lost = np.array([0.0, 1000.0, 0.0])[:, None, None]
    found = share(np.array([[2000.0]]), np.array([3000.0]), np.full((1, 3), 1 / 3), lost)
    assert found[0, 0] == pytest.approx([1000.0, 0.0, 1000.0])


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 1), st.floats(0, 0.6), st.sampled_from(["parallel", "series"]), st.integers(0, 2))
def test_more_degradation_never_raises_expected_volume(level: float, more: float, kind: str, well: int) -> None:
    """In series the others are sound: of wells that all fail within a day, one that fails at once is repaired while the others run, which
    may give more in the end."""
    model = wells(3, kind)
    now = at_level(sound(model), level) if kind == "parallel" else at_level(sound(model), level, f"well{well}")
    before = foresee(model, "oil", now, HORIZON, DRAWS)
    after = foresee(model, "oil", now, HORIZON, DRAWS, worse=(f"well{well}", more))
    assert after.expected.sum() <= before.expected.sum() * (1 + 1e-3)


def test_repair_gives_back_what_degradation_took() -> None:
    model = wells()
    ill = at_level(sound(model), 0.95, "well2")
    volumes = [foresee(model, "oil", state, HORIZON, DRAWS, repaired=name).expected.sum()
               for state, name in ((ill, None), (ill, "well2"), (sound(model), None))]  # fmt: skip
    assert volumes[0] < volumes[1] * 0.98
    assert volumes[1] == pytest.approx(volumes[2], rel=1e-3)


def test_stale_tags_widen_the_band_and_lower_trust() -> None:
    model = wells()
    near = at_level(sound(model), 0.6)
    blind = tuple(replace(one, level_sd=0.2, trust=0.3, low=0.0, high=0.8) for one in near)
    horizon = Horizon(START_US, 60, 60)
    known, open_ = (foresee(model, "oil", state, horizon, Draws(1, 4000)) for state in (near, blind))
    width = [float(one.quantiles[4, 0] - one.quantiles[0, 0]) for one in (known, open_)]
    assert width[1] > width[0] * 1.02
    assert open_.error.std() > 2 * known.error.std()
    certain = foresee(model, "oil", blind, horizon, Draws(1, 4000), certain=True)
    np.testing.assert_allclose(certain.delivered, known.delivered, rtol=1e-9)


def test_streams_of_a_site_share_the_fate_of_their_assets() -> None:
    second = '[[site.stream]]\nname = "gas"\ntopology = "well1"\nproduct = "gas"\nplace = "terminal"\n'
    model = clocked(wells(3, stream=second), 1 / 30)
    healths = sound(model)
    oil, gas = (foresee(model, name, healths, HORIZON, DRAWS) for name in ("oil", "gas"))
    np.testing.assert_allclose(oil.delivered[:, :, 1], gas.delivered[:, :, 0], atol=1e-6)


def test_same_inputs_give_the_same_digest_and_another_seed_another() -> None:
    model = wells()
    healths = sound(model)
    once, again, other = (foresee(model, "oil", healths, HORIZON, Draws(seed, 200)).digest for seed in (1, 1, 2))
    assert once == again != other
    assert len(once) == 32


def test_unknown_health_of_an_asset_with_tags_counts_as_unknown() -> None:
    model = wells()
    state = units(model, model.stream("oil"), ())
    assert state.level_sd.tolist() == [0.25] * 3
    assert state.trust.tolist() == [0.0] * 3


def test_gamma_wear_runs_down_to_its_threshold() -> None:
    gamma = HEAD.replace("threshold = 0.8", 'threshold = 0.8\nwear = "gamma"')
    models = [parse_model(bare_text(gamma, drift)) for drift in (0.005, 0.03)]
    slow, quick = (foresee(model, "oil", (), Horizon(START_US, 60), DRAWS).expected for model in models)
    assert slow[:10].sum() == pytest.approx(quick[:10].sum(), rel=0.02)
    assert quick[35:].sum() < slow[35:].sum() * 0.95
    assert np.all(np.isfinite(quick))


def bare_text(head: str, drift: float) -> str:
    head = head.replace("drift_per_day = 0.0005", f"drift_per_day = {drift}").replace("clock_per_year = 0.5", "clock_per_year = 0.0")
    asset = '[[site.asset]]\nname = "a"\nclass = "well"\nnameplate = 100.0\nunit = "m3/d"\n'
    return f'{head}[[site]]\nname = "rig"\n{asset}{STREAM.replace(chr(34) + "all" + chr(34), chr(34) + "a" + chr(34))}'


def test_old_assets_fail_sooner_where_age_matters() -> None:
    life = "age_eta_years = 5.0\nage_beta = 3.0\nage_failures = 10.0"
    young, old = (bare(life, asset=f"in_service = {year}-01-01T00:00:00Z") for year in (2026, 2010))
    volumes = [foresee(model, "oil", (), Horizon(START_US, 60), DRAWS).expected.sum() for model in (young, old)]
    assert volumes[1] < volumes[0]
    with pytest.raises(AssetError, match="age of these assets matters"):
        units(young, young.stream("oil"), ())


def test_shocks_stop_all_units_at_once() -> None:
    calm, stormy = (bare("", more) for more in ("", 'shock_per_year = 12.0\nshock_repair = "2d"'))
    before, after = (foresee(model, "oil", (), Horizon(START_US, 60), Draws(2, 3000)) for model in (calm, stormy))
    assert after.expected.sum() < before.expected.sum() * 0.97
    together = np.corrcoef(after.delivered.sum(axis=1).T)[0, 1]
    assert together > 0.5 > np.corrcoef(before.delivered.sum(axis=1).T)[0, 1]


def test_share_of_time_lost_to_shocks_is_that_of_an_alternating_renewal() -> None:
    found = simulate_shocks(Shocks(0.1, 2.0, 0.0), 200.0, Draws(5, 4000))
    lost = np.bincount(found.path, found.end - found.start, minlength=4000) / 200.0
    assert lost.mean() == pytest.approx(2 / 12, abs=0.005)  # r / (1/rate + r) in the long run, up at the start


@pytest.mark.parametrize(
    ("horizon", "message"),
    [(Horizon(START_US, 0), "1 to 3660 days"), (Horizon(START_US, 5, 6), "no longer"), (Horizon(START_US, 5, 1, "CET"), "UTC")],
    ids=["no day", "bucket too long", "zone"],
)
def test_horizon_that_cannot_be_meant_is_refused(horizon: Horizon, message: str) -> None:
    model = wells()
    with pytest.raises(AssetError, match=message):
        foresee(model, "oil", (), horizon, DRAWS)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    model = wells()
    with pytest.raises(AssetError, match='no stream "oli", did you mean "oil"'):
        foresee(model, "oli", (), HORIZON, DRAWS)
    with pytest.raises(AssetError, match='asset "well9" is not part of stream "oil"'):
        foresee(model, "oil", (), HORIZON, DRAWS, repaired="well9")


def test_last_bucket_may_be_shorter_and_maintenance_is_no_loss() -> None:
    window = "[[site.asset.maintenance]]\nstart = {}\nend = {}\n".format(*(_iso(START_US + day * DAY_US) for day in (0, 5)))
    model = clocked(bare("", asset=window), 0.0)
    found: StreamOutlook = foresee(model, "oil", (), Horizon(START_US, 12, 5), DRAWS)
    assert found.edges_us[-1] - found.edges_us[-2] == 2 * DAY_US
    assert found.nameplate.sum(axis=1) == pytest.approx([0.0, 1000.0, 400.0])


def _iso(us: int) -> str:
    return str(np.datetime64(us, "us")) + "Z"
