"""The stages as pure functions from the inputs that an evidence row names to its output. The hub and a recomputation run the same ones.

    health     (model, state, samples, as_of)     -> state, health of each asset
    forecast   (model, healths, settings, as_of)  -> volume paths of a stream
    risk       (desk, volume paths, as_of)        -> VaR, ES, split, components, hedge
    detail     (risk's result, model, healths)    -> value of repair, CVaR hedge, stresses

Each gives a value for the next stage and the row's output, in which every array that is too long to keep stands as its SHA-256. Not for
reading or storing anything.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from cloud import document
from cloud.assets import assess, outlook
from cloud.assets.assess import AssetHealth
from cloud.assets.model import Model
from cloud.assets.outages import Draws
from cloud.assets.outlook import Horizon, StreamOutlook
from cloud.assets.state import SiteState
from cloud.assets.ticks import Samples
from cloud.document import Fields
from cloud.evidence import code as evidence_code
from cloud.market import documents as market_documents
from cloud.market.quotes import Quote
from cloud.risk import desk, desk_detail
from cloud.risk.desk import Desk, StreamPaths, Valued
from cloud.risk.errors import Floats
from cloud.risk.hedge import Hedge
from cloud.risk.settings import DeskSettings, day_start_us
from cloud.risk.supply_health import Variant
from cloud.trading import documents as trading_documents
from cloud.trading.deals import Calendars, Deal
from protocols.batch import bundle

HEALTH: Final = "health"
FORECAST: Final = "forecast"
RISK: Final = "risk"
DETAIL: Final = "detail"
STEP: Final = 0.1  # of degradation, for the health delta
TOP_DEALS: Final = 20
RULES: Final = ("assets", "market", "trading", "risk", "reaction")

Output = dict[str, Any]


def code() -> Mapping[str, str]:
    """What computes the rows of these stages."""
    return evidence_code.code(*RULES)


def site_samples(columns: Mapping[str, bundle.Samples]) -> dict[str, Samples]:
    return {tag: Samples(found.times_us, found.values, found.quality) for tag, found in columns.items()}


def health(
    model: Model, site: str, state: SiteState, samples: Mapping[str, Samples], as_of_us: int
) -> tuple[SiteState, tuple[AssetHealth, ...], Output]:
    after, found = assess.advance(model, site, state, samples, as_of_us)
    assets = {
        one.asset: {
            "index": one.index,
            "low": one.low,
            "high": one.high,
            "state": one.state,
            "trust": one.trust,
            "evidence": one.evidence,
            "reasons": [[reason.role, reason.share, list(reason.tags)] for reason in one.reasons],
            "stale": list(one.stale),
            "wear": list(one.wear),
        }
        for one in found
    }
    return after, found, {"assets": assets, "state": hashlib.sha256(after.to_bytes()).digest()}


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A stream's volumes as they are and as if all telemetry were good."""

    now: StreamOutlook
    certain: StreamOutlook


def forecast(
    model: Model, stream_name: str, healths: Sequence[AssetHealth], settings: DeskSettings, as_of_us: int
) -> tuple[Foreseen, Output]:
    horizon = Horizon(day_start_us(as_of_us), settings.days)
    now, certain = (outlook.foresee(model, stream_name, healths, horizon, _draws(settings), certain=sure) for sure in (False, True))
    total = now.total.sum(axis=1)
    stream = model.stream(stream_name)
    output: Output = {
        "product": stream.product,
        "place": stream.place,
        "unit": volume_unit(stream.assets[0].unit),
        "units": list(now.units),
        "start_us": horizon.start_us,
        "expected": now.expected,
        "quantiles": now.quantiles,
        "nameplate": now.nameplate.sum(axis=1),
        "uptime": now.uptime,
        "total": {"p5": _quantile(total, 0.05), "p50": _quantile(total, 0.5), "p95": _quantile(total, 0.95), "mean": float(total.mean())},
        "measurement_sd": float(now.error.sum(axis=1).std()),
        "paths": now.digest,
        "certain": certain.digest,
    }
    return Foreseen(now, certain), output


def _draws(settings: DeskSettings) -> Draws:
    return Draws(settings.seed, settings.paths, settings.site_correlation)


def _quantile(values: Floats, at: float) -> float:
    return float(np.quantile(values, at, method="inverted_cdf"))


def volume_unit(per_day: str) -> str:
    """The unit of volume of a nameplate: "bbl" of "bbl/d"."""
    return per_day.removesuffix("/d").removesuffix("/day")


def stream_paths(model: Model, foreseen: Foreseen) -> StreamPaths:
    """Volumes with the error of measuring them, as the desk will know them: a wrong meter counts in every bucket alike."""
    stream = model.stream(foreseen.now.stream)
    return StreamPaths(
        stream.name,
        stream.product,
        stream.place,
        volume_unit(stream.assets[0].unit),
        foreseen.now.units,
        _measured(foreseen.now),
        _measured(foreseen.certain),
        foreseen.now.nameplate,
        stream.cost,
    )


def _measured(found: StreamOutlook) -> Floats:
    mean = np.maximum(found.produced.sum(axis=2).mean(axis=0), 1e-300)
    return np.asarray(found.delivered * np.maximum(1.0 + found.error / mean, 0.0)[:, :, None])


def risk(found: Desk, streams: Sequence[StreamPaths], as_of_us: int) -> tuple[Valued, Output]:
    valued = desk.value(found, streams, as_of_us)
    result, parts = valued.risk, valued.risk.components
    measured, quality = result.measured, valued.quality
    output: Output = {
        "currency": found.settings.currency,
        "level": found.settings.level,
        "reference": found.settings.reference,
        "days": found.settings.days,
        "expected": result.expected,
        "plan": result.plan,
        "var": measured.var,
        "var_error": measured.var_error,
        "es": measured.es,
        "es_error": measured.es_error,
        "split": {
            "price": result.split.price,
            "volume": result.split.volume,
            "joint": result.split.joint,
            "interaction": result.split.interaction,
        },
        "quality": {"add_on": quality.add_on, "var_certain": quality.var_certain, "es_certain": quality.es_certain},
        "units": dict(parts.unit),
        "deals": _largest(parts.deal),
        "buckets": parts.bucket,
        "sensitivities": [[one.parameter, one.value, one.var, one.es] for one in result.sensitivities],
        "forward": {product: list(map(float, curve)) for product, curve in valued.prices.forward.items()},
        "months_us": [month.start_us for month in valued.prices.months],
        "committed": _committed(valued),
        "hedge": _hedge(valued.hedge, valued.hedged),
        "refused": [[one.deal_id, one.cause.value, one.detail] for one in valued.refused],
        "outside": len(valued.obligations.outside),
        "pnl": hashlib.sha256(np.ascontiguousarray(result.pnl, dtype="<f8").data).digest(),
    }
    return valued, output


def _largest(parts: Mapping[str, float]) -> list[list[Any]]:
    """The largest contributions and the sum of the others: all of them can be computed again."""
    order = sorted(parts, key=lambda name: (-abs(parts[name]), name))
    rows: list[list[Any]] = [[name, parts[name]] for name in order[:TOP_DEALS]]
    if len(order) > TOP_DEALS:
        rows.append([f"{len(order) - TOP_DEALS} others", float(sum(parts[name] for name in order[TOP_DEALS:]))])
    return rows


def _committed(valued: Valued) -> dict[str, Floats]:
    """Volume per bucket that each stream owes."""
    return {stream.name: terms.q.sum(axis=0) for stream, terms in zip(valued.book.streams, valued.book.terms, strict=True)}


def _hedge(found: Hedge | None, names: Iterable[tuple[str, int]]) -> Output | None:
    if found is None:
        return None
    volumes = [[product, month, volume] for (product, month), volume in zip(names, found.volume.tolist(), strict=True)]
    return {
        "volumes": volumes,
        "var_before": found.var_before,
        "var_after": found.var_after,
        "es_before": found.es_before,
        "es_after": found.es_after,
        "left": found.left,
        "statement": found.statement,
    }


def detail(
    valued: Valued,
    model: Model,
    healths: Mapping[str, Sequence[AssetHealth]],
    foreseen: Mapping[str, Foreseen],
    settings: DeskSettings,
    as_of_us: int,
) -> Output:
    """healths: by site; foreseen: by stream."""
    horizon = Horizon(day_start_us(as_of_us), settings.days)
    variants = []
    for stream in model.streams:
        if stream.name not in foreseen:
            continue
        now, known = foreseen[stream.name].now, healths[stream.site]
        for at, unit in enumerate(now.units):
            worse = outlook.foresee(model, stream.name, known, horizon, _draws(settings), worse=(unit, STEP))
            repaired = outlook.foresee(model, stream.name, known, horizon, _draws(settings), repaired=unit)
            variants.append(Variant(unit, STEP, _measured(worse)[:, :, at], _measured(repaired)[:, :, at]))
    found = desk_detail.detail(valued, variants)
    return {
        "health": [[one.unit, one.per_step, one.repair_var, one.repair_es] for one in found.health],
        "cvar_hedge": _hedge(found.cvar_hedge, found.hedged),
        "stress": [[name, loss] for name, loss in found.stress],
    }


@dataclass(frozen=True, slots=True)
class Contents:
    """Deals, calendars and quotes as the bytes that a row names."""

    deals: bytes
    calendars: bytes
    quotes: bytes


def write_deals(deals: Iterable[Deal]) -> bytes:
    return _listed(trading_documents.encode_deal(deal) for deal in deals)


def write_calendars(calendars: Calendars) -> bytes:
    return _listed(trading_documents.encode_calendar(product, place, one) for (product, place), one in sorted(calendars.items()))


def write_quotes(quotes: Iterable[Quote]) -> bytes:
    return _listed(market_documents.encode_quote(quote) for quote in quotes)


def _listed(documents: Iterable[bytes]) -> bytes:
    return b"[" + b",\n".join(documents) + b"]"


def read_desk(contents: Contents, settings: DeskSettings) -> Desk:
    """Inverse of the three. Raises document.DocumentError."""
    quotes = tuple(market_documents.read_quote(Fields(one, "quote")) for one in document.parse(contents.quotes))
    return Desk(settings, _deals(contents.deals), _calendars(contents.calendars), quotes)


@lru_cache(maxsize=4)
def _deals(content: bytes) -> tuple[Deal, ...]:
    return tuple(trading_documents.read_deal(Fields(one, "deal")) for one in document.parse(content))


@lru_cache(maxsize=4)
def _calendars(content: bytes) -> Calendars:
    return dict(trading_documents.read_calendar(Fields(one, "calendar")) for one in document.parse(content))
