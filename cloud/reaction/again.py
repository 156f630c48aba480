"""Health, forecast, risk and detail computed again from what their rows name: the stages as `verify --recompute` runs them."""

from collections.abc import Mapping
from typing import Final

from cloud.assets import assess
from cloud.assets.assess import AssetHealth
from cloud.assets.model import Model, parse_model
from cloud.assets.state import SiteState
from cloud.evidence.again import Known, Stage
from cloud.reaction import stages
from cloud.reaction.stages import Contents, Foreseen, Output
from cloud.risk.settings import parse_settings
from protocols.batch.evidence import Row
from protocols.batch.pedigree import Opened


def _model(known: Known, row: Row) -> Model:
    return known.parsed(row, "model", _read_model)


def _read_model(text: bytes) -> Model:
    return parse_model(text.decode())


def _health_made(known: Known, digest: bytes) -> tuple[SiteState, tuple[AssetHealth, ...]]:
    found: tuple[SiteState, tuple[AssetHealth, ...]] = known.made[digest]
    return found


def _health(known: Known, opened: Opened) -> Output:
    row, model = opened.row, _model(known, opened.row)
    state = _state_before(known, row, model)
    samples = stages.site_samples(opened.samples)
    after, healths, output = stages.health(model, row.subject, state, samples, row.as_of_us)
    known.made[opened.digest] = (after, healths)
    return output


def _state_before(known: Known, row: Row, model: Model) -> SiteState:
    """Carried in as a content where a chain of rows begins, else what the row before left; a new model takes over what it can."""
    if "previous" in row.inputs.rows:
        return _health_made(known, row.inputs.rows["previous"])[0]
    if "state" not in row.inputs.contents:
        return assess.start(model, row.subject)
    state = SiteState.from_bytes(known.contents[row.inputs.contents["state"]])
    return assess.start(model, row.subject, state) if row.parameters.get("model_changed") else state


def _forecast(known: Known, opened: Opened) -> Output:
    row = opened.row
    _, healths = _health_made(known, row.inputs.rows["health"])
    found, output = stages.forecast(_model(known, row), row.subject, healths, known.parsed(row, "settings", parse_settings), row.as_of_us)
    known.made[opened.digest] = found
    return output


def _risk(known: Known, opened: Opened) -> Output:
    row = opened.row
    contents = row.inputs.contents
    read = Contents(*(known.contents[contents[name]] for name in ("deals", "calendars", "quotes")))
    desk = stages.read_desk(read, known.parsed(row, "settings", parse_settings))
    model = _model(known, row)
    paths = [stages.stream_paths(model, known.made[digest]) for _, digest in sorted(row.inputs.rows.items())]
    known.made[opened.digest], output = stages.risk(desk, paths, row.as_of_us)
    return output


def _detail(known: Known, opened: Opened) -> Output:
    row = opened.row
    model, digest = _model(known, row), row.inputs.rows["risk"]
    below = known.rows[digest].inputs.rows
    foreseen: dict[str, Foreseen] = {known.made[one].now.stream: known.made[one] for one in below.values()}
    healths = {known.rows[one].subject: known.rows[one].inputs.rows["health"] for one in below.values()}
    by_site = {model.stream(stream).site: _health_made(known, health)[1] for stream, health in healths.items()}
    return stages.detail(known.made[digest], model, by_site, foreseen, known.parsed(row, "settings", parse_settings), row.as_of_us)


STAGES: Final[Mapping[str, Stage]] = {stages.HEALTH: _health, stages.FORECAST: _forecast, stages.RISK: _risk, stages.DETAIL: _detail}
