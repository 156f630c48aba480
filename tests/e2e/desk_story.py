"""A desk for its page, computed by the stages themselves: four wells that run, then one that fails. What the hub would show and store.

The same documents as the hub's API gives, so that the page cannot drift from them; only batches are named without having been sent.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib import resources
from typing import Any, Final

import numpy as np

from cloud.assets import assess
from cloud.assets.assess import AssetHealth
from cloud.assets.model import Model, parse_model
from cloud.assets.state import SiteState
from cloud.assets.ticks import Samples
from cloud.evidence.api import plain
from cloud.market.periods import DAY_US, months
from cloud.market.quotes import Quote
from cloud.reaction import stages
from cloud.reaction.results import document
from cloud.reaction.stages import Foreseen
from cloud.risk.desk import Desk
from cloud.risk.settings import parse_settings
from cloud.trading import api as trading_api
from cloud.trading import positions
from cloud.trading.deals import (
    Calendars,
    ContractTerms,
    Deal,
    DeliveryCalendar,
    FixedPrice,
    Kind,
    Leg,
    Price,
    Quantity,
    ShortfallRule,
    Side,
)
from cloud.trading.positions import Key, Line
from cloud.trading.schedules import Bucket
from protocols import quality
from protocols.batch import evidence
from protocols.batch.evidence import BatchRef, Inputs, Row

SITE, STREAM, BOOK = "field", "crude", "main"
URN: Final = "urn:qz:gw:{}"
DAYS: Final = 60
SECOND_US: Final = 1_000_000
SETTINGS: Final = json.dumps({"paths": 400, "days": DAYS, "products": {"WTI": {"kind": "normal", "history": "wti"}}}).encode()
LEVELS: Final = {"Pa": 15_000_000.0, "degC": 60.0, "sm3/s": 2.0}
SPREADS: Final = {"Pa": 20_000.0, "degC": 0.2, "sm3/s": 0.1}


@dataclass
class Story:
    """Grows by `step`; shown: results by (kind, subject); rows: every evidence row by id."""

    start_us: int
    model: Model
    state: SiteState
    deals: tuple[Deal, ...]
    calendars: Calendars
    quotes: tuple[Quote, ...]
    rng: np.random.Generator
    at_us: int
    healths: tuple[AssetHealth, ...] = ()
    previous: bytes | None = None
    seq: int = 0
    sensed_us: tuple[int, int] | None = None
    shown: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: dict[str, list[Samples]] = field(default_factory=dict)
    expected: tuple[Line, ...] = ()

    def step(self, seconds: int, *, fallen: float = 0.0, silent: str = "", detail: bool = False) -> list[dict[str, Any]]:
        """So many seconds of samples, then every stage once. fallen: spreads that WELL-A's pressures have lost; silent: a gateway."""
        given = self._samples(seconds, fallen, silent)
        self.at_us += seconds * SECOND_US
        as_of_us = self.at_us + 300_000
        settings = parse_settings(SETTINGS)
        self.state, self.healths, output = stages.health(self.model, SITE, self.state, given, as_of_us)
        self.seq += 1
        refs = tuple(_batch(name, self.seq) for name in ("rig1", "rig2") if name != silent)
        self.sensed_us = window = (self.at_us - (seconds - 1) * SECOND_US, self.at_us + 1)
        before = {"previous": self.previous} if self.previous else {}
        self.previous = self._keep("health", SITE, as_of_us, Inputs(before, {}, refs, window), output, made := [])
        foreseen, output = stages.forecast(self.model, STREAM, self.healths, settings, as_of_us)
        forecast = self._keep("forecast", STREAM, as_of_us, Inputs({"health": self.previous}), output, made)
        self.expected = _expected(foreseen, as_of_us)
        desk = Desk(settings, self.deals, self.calendars, self.quotes)
        valued, output = stages.risk(desk, [stages.stream_paths(self.model, foreseen)], as_of_us)
        risk = self._keep("risk", BOOK, as_of_us, Inputs({STREAM: forecast}), output, made)
        if detail:
            output = stages.detail(valued, self.model, {SITE: self.healths}, {STREAM: foreseen}, settings, as_of_us)
            self._keep("detail", BOOK, as_of_us, Inputs({"risk": risk}), output, made)
        return made

    def _samples(self, seconds: int, fallen: float, silent: str) -> dict[str, Samples]:
        times = self.at_us + SECOND_US * np.arange(1, seconds + 1, dtype=np.int64)
        good = np.full(seconds, quality.GOOD, np.uint32)
        found = {}
        for asset in self.model.assets:
            units = {role.name: role.unit for role in self.model.class_of(asset).roles}
            for binding in asset.tags:
                if silent and binding.tag.startswith(f"{silent}/"):
                    continue
                unit = units[binding.role]
                sunk = fallen * SPREADS[unit] if asset.name == "WELL-A" and unit == "Pa" else 0.0
                values = LEVELS[unit] + SPREADS[unit] * self.rng.standard_normal(seconds) - sunk
                found[binding.tag] = Samples(times, values, good)
                self.samples.setdefault(binding.tag, []).append(found[binding.tag])
        return found

    def _keep(self, kind: str, subject: str, as_of_us: int, inputs: Inputs, output: Any, made: list[dict[str, Any]]) -> bytes:
        written = Row(kind, subject, as_of_us, inputs, {}, 1, {"qenergyz": "story"}, output)
        text = evidence.encode(written)
        row, digest, made_us = evidence.decode(text), evidence.digest(text), as_of_us + 400_000
        shown = json.loads(document(digest, row, made_us, self.sensed_us))
        self.shown[kind, subject] = shown
        made.append(shown)
        told = asdict(row) | {"id": digest.hex(), "number": len(self.rows) + 1, "made_us": made_us, "position": len(self.rows)}
        told["inputs"]["batches"] = [{**asdict(ref), "name": ref.name} for ref in row.inputs.batches]
        self.rows[digest.hex()] = {name: plain(value) for name, value in told.items()}
        return digest

    def positions(self) -> dict[str, Any]:
        return trading_api.positions_json(positions.net(self.deals, self.expected, calendars=self.calendars), self.at_us)

    def tags(self) -> list[dict[str, Any]]:
        found = []
        for asset in self.model.assets:
            units = {role.name: role.unit for role in self.model.class_of(asset).roles}
            for binding in asset.tags:
                gateway, _, name = binding.tag.partition("/")
                one = {"id": len(found) + 1, "gateway_id": 1, "gateway": gateway, "name": name, "type": "float64"}
                found.append({**one, "unit": units[binding.role], "asset": "", "protocol": "modbus"})
        return found

    def columns(self, tag: str) -> dict[str, Any]:
        parts = self.samples.get(tag, [])
        names = ("times_us", "values", "quality")
        return {name: np.concatenate([getattr(part, name) for part in parts]).tolist() if parts else [] for name in names}


def _batch(gateway: str, seq: int) -> BatchRef:
    return BatchRef(URN.format(gateway), "live", 7, seq, hashlib.sha256(f"{gateway} {seq}".encode()).digest())


def _expected(foreseen: Foreseen, as_of_us: int) -> tuple[Line, ...]:
    start_us = as_of_us - as_of_us % DAY_US
    volumes = foreseen.now.expected.tolist()
    buckets = [Bucket(start_us + at * DAY_US, start_us + (at + 1) * DAY_US) for at in range(len(volumes))]
    return tuple(
        Line(Key(BOOK, "WTI", "Cushing", bucket), Decimal(str(round(volume, 3))), "bbl", expected=True)
        for bucket, volume in zip(buckets, volumes, strict=True)
    )


def deal(name: str, first: date, last: date, per_day: str, price: Price, **changes: Any) -> Deal:
    days = (last - first).days + 1
    side, physical = changes.pop("side", Side.SELL), changes.pop("physical", True)
    volume = Quantity(Decimal(per_day) * days, "bbl")
    leg = Leg(side, "WTI", "Cushing", volume, first, last, FixedPrice(price), physical=physical)
    terms = changes.pop("terms", ContractTerms())
    return Deal(name, 1, 0, BOOK, "Refiner", changes.pop("kind", Kind.FORWARD), (leg,), terms, **changes)


def begin(now_us: int) -> Story:
    """As of `now_us`, with 60 s learnt and everything sound."""
    model = parse_model(resources.files("cloud.assets").joinpath("examples", "dhsv.toml").read_text(encoding="utf-8"))
    today = datetime.fromtimestamp(now_us / 1e6, UTC).date()
    last = today + timedelta(days=DAYS - 1)
    delivery = ContractTerms(shortfall=ShortfallRule.BUY_BACK, penalty=Decimal("0.2"))
    deals = (
        deal("TERM-1", today, last, "48000.5", Price(Decimal("78.25"), "USD", "bbl"), terms=delivery),
        deal("TERM-2", today, last, "16000", Price(Decimal("77.10"), "USD", "bbl"), terms=delivery),
        deal("HEDGE-1", today, last, "5000", Price(Decimal("79"), "USD", "bbl"), side=Side.SELL, physical=False, kind=Kind.FUTURE),
        deal("ODD-1", today, last, "100", Price(Decimal("70"), "EUR", "bbl")),
    )
    calendars = {("WTI", "Cushing"): DeliveryCalendar(today - timedelta(days=60), today + timedelta(days=900))}
    wanted = [months(day.year, day.month) for day in (today + timedelta(days=31 * at) for at in range(4))]
    quotes = tuple(
        Quote("WTI", "Cushing", period, Decimal(78 + at), "USD", "bbl", now_us - 3_600_000_000) for at, period in enumerate(wanted)
    )
    start_us = now_us - 60 * SECOND_US
    return Story(start_us, model, assess.start(model, SITE), deals, calendars, quotes, np.random.default_rng(5), start_us)
