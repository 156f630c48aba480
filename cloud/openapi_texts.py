"""What the description of the API says beyond the code: examples by operation, texts where a route has none, statuses of its own. Data only."""

from collections.abc import Mapping
from typing import Any, Final

_HASH: Final = "5f2b1c9e0d7a4c63a1f08e27b94d6c35e8f10a7b2c3d4e5f60718293a4b5c6d7"
_DEAL: Final = {
    "id": "D-2026-017",
    "version": 1,
    "known_us": 1769904000000000,
    "book": "north",
    "counterparty": "Acme",
    "kind": "forward",
    "legs": [
        {
            "side": "sell",
            "product": "gas",
            "place": "TTF",
            "volume": {"value": "1000", "unit": "MWh"},
            "first": "2026-03-01",
            "last": "2026-03-31",
            "price": {"fixed": {"value": "30.50", "currency": "EUR", "unit": "MWh"}},
            "physical": True,
            "granularity": "day",
            "zone": "Europe/Berlin",
        }
    ],
    "terms": {"take_or_pay": "0", "shortfall": "buy-back", "penalty": "0", "force_majeure": False},
    "cancelled": False,
}
_QUOTE: Final = {
    "product": "gas",
    "place": "TTF",
    "start_us": 1772323200000000,
    "end_us": 1775001600000000,
    "price": "30.50",
    "currency": "EUR",
    "unit": "MWh",
    "as_of_us": 1769904000000000,
}
_TRANSITION: Final = {
    "id": 42,
    "at_us": 1769904000000000,
    "event": "acknowledge",
    "by": "control room",
    "reason": "pump 2 is started",
    "asset": "P-101",
    "alarm": "health",
    "state": "acknowledged",
    "active": True,
    "priority": "high",
    "since_us": 1769904000000000,
    "active_us": 1769903940000000,
    "until_us": None,
    "once": False,
    "cause": "critical: health 0.31",
    "evidence": _HASH,
}
_MODEL: Final = """[[class]]
name = "well"
every = "1s"
stale = "1min"
learn = 3600

[class.failure]
threshold = 0.8
drift_per_day = 0.0003
diffusion_per_day = 0.008
worth = "180d"
clock_per_year = 0.3
repair_median = "9d"
repair_spread = 0.7
sensor_sd = 0.01
source = "agreed with maintenance"

[[class.role]]
name = "pressure"
unit = "bar"
resolution = 0.01
deviation = 0.5

[[site]]
name = "field"
[[site.asset]]
name = "WELL-A"
class = "well"
nameplate = 1000.0
unit = "bbl/d"
[[site.asset.tag]]
tag = "rig1/plc1.pressure"
role = "pressure"
"""
_SETTINGS: Final = {
    "book": "north",
    "currency": "EUR",
    "level": 0.95,
    "reference": "plan",
    "paths": 2000,
    "days": 30,
    "seed": 1,
    "discount_rate": 0.03,
    "max_quote_age_s": 604800,
    "returns": 250,
    "correlation": 0.3,
    "site_correlation": 0.1,
    "products": {"gas": {"kind": "lognormal", "volatility": 0.6, "source": "agreed by the desk"}},
}
_FACTS: Final = {"uti": "213800KUD8LAJWSQ9D15QEN1", "reported_on": "2026-02-02", "cleared": False}
_FINDING: Final = {
    "area": "emir",
    "rule": "E-01",
    "title": "Derivative reported to a trade repository in time",
    "owner": "market reporting",
    "severity": "breach",
    "subject": "deal/D-2026-017",
    "outcome": "PASS",
    "why": "reported on 2026-02-02, due 2026-02-02",
    "digest": _HASH,
}
_COUNTS: Final = {"PASS": 1, "FAIL": 0, "NOT_APPLICABLE": 0, "INDETERMINATE": 0}
_PROFILE: Final = """[participant]
name = "Example Energy"
lei = "213800KUD8LAJWSQ9D15"
acer_code = "T1241247G.EU"
party = "NFC-"

[[unit]]
name = "Block 1"
eic = "22WEXAMPLE-1---P"
zone = "10YFR-RTE------C"
event_type = "Production unavailability"
commodity = "electricity"
unit = "MW"
installed = 450
fuel = "Fossil Gas"
books = ["north"]
market_time_unit = "15min"
"""
_GASES: Final = {"co2_kg": 61200.0, "ch4_kg": 312.0, "n2o_kg": None, "sf6_kg": 0.0}
_EMISSIONS: Final = {
    "id": _HASH,
    "known_at_us": 1769904000000000,
    "gwp": "AR5",
    "site": "field",
    "day": "2026-01-31",
    "open": 0,
    "until_us": 1769904000000000,
    "records": [
        {
            "source": "FLARE-1",
            "asset": "FLARE-1",
            "category": "flare",
            "purpose": "safety",
            "method": "flare-w19",
            "ogmp_level": 3,
            "quality": 2,
            "activity": {"value": 1020000.0, "unit": "scf"},
            "gases_kg": _GASES,
            "known_t": 69.9,
            "u95_pct": {"flare gas": 5.0, "flare gas analysis": 2.0},
            "factors": [
                {
                    "name": "flare.efficiency.default",
                    "value": 0.98,
                    "unit": "1",
                    "from": "2010-11-30",
                    "reference": "40 CFR 98.233(n)",
                    "status": "confirmed",
                    "scenario": "",
                }
            ],
            "notes": ["N2O: factor flare.n2o on 2026-01-31: is unconfirmed since 2010-11-30 (scenario flare-n2o)"],
            "bar": "mmmmmmmmmmmmmmmmmmmmmmbm",
            "hourly": [42500.0] * 24,
            "unit": "scf",
            "excluded": {"absent": 1},
            "known_s": 82800.0,
            "measured_hours": 23,
            "filled_hours": 1,
            "missing_hours": 0,
        }
    ],
    "as_stated": [],
    "meters": {},
    "refused": {},
}
_KEY: Final = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
_PROOF: Final = _HASH * 2

_CREDENTIAL: Final = {"id": "rBxZ...", "rawId": "rBxZ...", "type": "public-key", "response": {"clientDataJSON": "eyJ0..."}}

# Example of the request body, by operation; where there are several content types, by type
BODIES: Final[Mapping[str, Any]] = {
    "POST /v1/enrolments": {"voucher": "qzv_...", "gateway": "rig1", "algorithm": -8, "public_key": _KEY, "proof": _PROOF},
    "POST /v1/keys": {
        "old_key_id": _HASH[:32],
        "algorithm": -8,
        "public_key": _KEY,
        "overlap_s": 3600,
        "proof": _PROOF,
        "endorsement": _PROOF,
    },
    "POST /v1/quotes": [_QUOTE],
    "PUT /v1/quotes": [_QUOTE],
    "PUT /v1/history": "day,price\n2026-02-02,30.10\n2026-02-03,30.50\n",
    "POST /v1/deals": _DEAL,
    "PUT /v1/calendars": [{"product": "gas", "place": "TTF", "first": "2026-01-01", "last": "2027-12-31", "closed": ["2026-12-25"]}],
    "POST /v1/alarms/{asset}/{alarm}/acknowledge": {"reason": "pump 2 is started"},
    "POST /v1/alarms/{asset}/{alarm}/shelve": {"reason": "sensor is being replaced", "until_us": 1769911200000000, "once": True},
    "POST /v1/me/passkeys": {"challenge": "qzc_...", "label": "laptop", "credential": _CREDENTIAL},
    "POST /v1/session/passkey": {"challenge": "qzc_...", "credential": _CREDENTIAL},
    "POST /v1/rules/run": {"as_of": "2026-11-22", "scenarios": ["as-stated"]},
    "PUT /v1/facts/{kind}/{subject}": _FACTS,
    "PUT /v1/assets": _MODEL,
    "PUT /v1/compliance/profile": _PROFILE,
    "PUT /v1/risk/settings": _SETTINGS,
    "PUT /v1/gateways/{gateway}/configuration": '[gateway]\nname = "rig1"\n',
}

# Bodies that a route reads itself and says nothing of: (content type, what it is)
RAW: Final[Mapping[str, tuple[str, str]]] = {
    "POST /v1/batches": ("application/cbor-seq", "signed batches one after the other, as in docs/wire-format.md"),
    "PUT /v1/tag-tables/{digest}": ("application/cose", "a tag table with its signature, as in docs/wire-format.md"),
    "POST /v1/certificates": ("application/cose", "a certificate request (PKCS #10) signed by the gateway's key"),
    "POST /v1/configuration-reports": ("application/cose", "what the gateway runs, signed by its key"),
    "PUT /v1/gateways/{gateway}/configuration": ("application/toml", "a gateway file, as in docs/reference/gateway.schema.json"),
}

# Example of the main answer
ANSWERS: Final[Mapping[str, Any]] = {
    "GET /v1/gateways": [
        {
            "id": 1,
            "name": "rig1",
            "urn": "urn:qenergyz:gateway:rig1",
            "enrolled_us": 1769900000000000,
            "last_seen_us": 1769904000000000,
            "backlog": 0,
            "receipt_us": 1769904000000000,
            "batches": 3600,
            "samples": 1800000,
            "bytes": 5400000,
            "key": {"state": "good", "ends_us": None},
            "configuration": {"state": "IN_SYNC", "reason": "nothing was pushed: the gateway runs its own file", "version": 0},
        }
    ],
    "GET /v1/completeness": [{"complete": True, "statement": "all present", "gaps": [], "tag": "rig1/plc1.pressure"}],
    "GET /v1/tags": [
        {
            "id": 7,
            "gateway_id": 1,
            "gateway": "rig1",
            "name": "rig1/plc1.pressure",
            "type": "float32",
            "unit": "bar",
            "asset": "WELL-A",
            "protocol": "modbus",
        }
    ],
    "GET /v1/latest": {"7": [1769904000000000, 61.5, 0]},
    "GET /v1/tags/{tag_id}/completeness": {"complete": True, "statement": "all present", "gaps": [], "tag": "rig1/plc1.pressure"},
    "GET /v1/alarms": {
        "as_of_us": 1769904000000000,
        "flood": None,
        "alarms": [{name: value for name, value in _TRANSITION.items() if name not in ("id", "at_us", "event", "by", "reason")}],
    },
    "GET /v1/alarms/journal": {"journal": [_TRANSITION], "next": None},
    "POST /v1/alarms/{asset}/{alarm}/acknowledge": _TRANSITION,
    "POST /v1/deals": {"deals": [{"id": "D-2026-017", "version": 1, "sha256": _HASH, "stored": True}]},
    "GET /v1/deals": {"known_us": 1769904000000000, "deals": [_DEAL]},
    "PUT /v1/quotes": {"stored": 1, "same": 0},
    "GET /v1/quotes": {"as_of_us": 1769904000000000, "quotes": [_QUOTE]},
    "PUT /v1/history": {"stored": 2},
    "POST /v1/rules/run": {
        "as_of": "2026-11-22",
        "known_us": 1795348800000000,
        "scenarios": [],
        "areas": [{"area": "emir", "evidence": _HASH, "known_us": 1795348800000000, "new": True, "counts": _COUNTS}],
        "contradictions": [],
    },
    "GET /v1/findings": {
        "runs": [
            {
                "area": "emir",
                "evidence": _HASH,
                "as_of": "2026-11-22",
                "known_us": 1795348800000000,
                "scenarios": [],
                "counts": _COUNTS,
            }
        ],
        "findings": [_FINDING],
        "next": None,
    },
    "PUT /v1/facts/{kind}/{subject}": {
        "kind": "Derivative",
        "subject": "deal/D-2026-017",
        "version": 1,
        "known_us": 1770076800000000,
        "by": "person/7",
        "sha256": _HASH,
        "facts": _FACTS,
        "new": True,
    },
    "GET /v1/esg/inventory": {
        "version": 1,
        "sha256": _HASH,
        "received_us": 1769904000000000,
        "title": "Emission sources of the field",
        "sites": ["field"],
        "meters": [{"name": "flare gas", "tag": "rig1/flare1.flare_gas_flow", "unit": "MMscf/d", "reads": "rate", "high": 50.0}],
        "sources": [
            {
                "id": "FLARE-1",
                "site": "field",
                "asset": "FLARE-1",
                "category": "flare",
                "scope": "scope 1",
                "from": "2026-01-01",
                "until": None,
                "meters": ["flare gas", "flare pilot"],
                "u95_pct": {"flare gas": 5.0},
            }
        ],
        "text": "title = ...",
    },
    "PUT /v1/esg/inventory": {"version": 1, "sha256": _HASH},
    "GET /v1/esg/emissions": {"days": [_EMISSIONS], "missing": []},
    "GET /v1/esg/totals": {
        "id": _HASH,
        "as_of_us": 1769904000000000,
        "from": "2026-01-01",
        "to": "2026-01-31",
        "gwp": "AR5",
        "scenario": "",
        "days": 31,
        "scopes": {
            "scope 1": {
                "figure_t": None,
                "known_t": 4210.5,
                "low_t": 4020.1,
                "high_t": 4400.9,
                "u95_pct": 4.5,
                "approach": 2,
                "quality": 2.1,
                "gases_kg": _GASES,
                "doubts": ["FLARE-1: n2o not estimated"],
                "more_doubts": 0,
            }
        },
        "sources": [],
        "assets": [{"asset": "FLARE-1", "ch4_kg": 3120.0, "ogmp_level": 3, "why": ""}],
        "flared": [{"purpose": "safety", "scf": 10400000.0}],
    },
    "GET /v1/esg/restatements": {
        "before_us": 1769904000000000,
        "after_us": 1769990400000000,
        "before": None,
        "after": None,
        "restated": [
            {
                "source": "FLARE-1",
                "category": "flare",
                "day": "2026-01-31",
                "before": {"gases_kg": _GASES, "missing_hours": 6},
                "after": {"gases_kg": _GASES, "missing_hours": 0},
            }
        ],
    },
    "POST /v1/esg/measures": {"stored": 1, "known_at_us": 1769904000000000},
    "GET /v1/esg/intensity": {
        "id": _HASH,
        "from": "2026-01-01",
        "to": "2026-01-31",
        "figures": [
            {"name": "methane_intensity", "value": 0.0012, "unit": "m3 of CH4 per m3 of gas marketed", "why": ""},
            {"name": "trir", "value": None, "unit": "cases per 200,000 h", "why": "no safety is registered for the period"},
        ],
        "sources": [{"source": "FLARE-1", "asset": "FLARE-1", "ogmp_level": 3}],
        "assets": [{"asset": "FLARE-1", "ch4_kg": 3120.0, "ogmp_level": 3, "why": ""}],
        "flared": [{"purpose": "safety", "scf": 10400000.0}],
    },
    "GET /v1/esg/score": {
        "id": _HASH,
        "as_of_us": 1769904000000000,
        "from": "2026-01-01",
        "to": "2026-01-31",
        "value": None,
        "exact": None,
        "low": 31.0,
        "high": 82.5,
        "coverage": 0.45,
        "contributions": [
            {"topic": "ghg_methane", "weight": 0.3, "points": 6.0, "exact": "6", "low": 1.5, "high": 9.0, "capped_by": []},
            {"topic": "water", "weight": 0.1, "points": None, "exact": None, "low": -5.0, "high": 5.0, "capped_by": []},
        ],
        "metrics": [
            {
                "name": "methane intensity",
                "topic": "ghg_methane",
                "figure": "methane_intensity",
                "value": 0.0012,
                "unit": "m3 of CH4 per m3 of gas marketed",
                "why": "",
                "score": 70.0,
                "best": 0.0,
                "worst": 0.004,
                "since": "2026-01-01",
                "reference": "agreed with the board",
                "u95_pct": 30.0,
            }
        ],
        "broken": [],
        "weights_moved": None,
    },
    "GET /v1/esg/leaks": {
        "sections": [
            {
                "section": "gas handling",
                "site": "field",
                "hours": 720,
                "why": "",
                "probability": 0.93,
                "kg_h": {"low": 310.0, "rate": 450.0, "high": 590.0},
                "since_hour": 402,
                "suspects": ["export gas", "separator gas"],
                "work_order": "Look for gas escaping at gas handling, field: ...",
            }
        ]
    },
    "PUT /v1/assets": {"version": 3, "sha256": _HASH},
    "PUT /v1/risk/settings": {"version": 2, "sha256": _HASH},
    "GET /v1/session": {
        "tenant": "default",
        "name": "operator",
        "role": "operator",
        "scopes": ["read:assets", "read:evidence", "read:field", "write:alarms"],
        "csrf": _HASH,
    },
    "GET /health": {"state": "up", "components": {"database": {"state": "up", "cause": ""}}},
}

# Descriptions of routes whose names say it to people who know the code only
DESCRIPTIONS: Final[Mapping[str, str]] = {
    "POST /v1/enrolments": "A gateway's key becomes known by a voucher, which is good once, and a proof that the gateway holds the key.",
    "PUT /v1/tag-tables/{digest}": "What the tags of a gateway's batches are; sent before the first batch that names it.",
    "GET /v1/gateways/{gateway_id}/completeness": "The same for all tags of a gateway, with what it says is still waiting there.",
    "GET /v1/log/consistency": "Proof that the log of `new` entries continues the log of `old` entries.",
    "GET /v1/calendars": "Delivery calendars as they stand.",
    "POST /v1/alarms/{asset}/{alarm}/unshelve": "Ends the silence before its time.",
    "GET /v1/risk/settings": "The desk's settings as they stand.",
    "DELETE /v1/session": "Sign out; the cookie is worth nothing afterwards.",
    "POST /v1/session/second": "The second step of signing in, after a 202.",
    "PUT /v1/me/preferences": "Language, theme, digits, time zone and saved views of whoever is signed in.",
    "GET /v1/me/sessions": "Where one is signed in.",
    "DELETE /v1/me/sessions/{session_id}": "Sign out elsewhere.",
    "DELETE /v1/me/totp": "Signing in asks for no one-time code any more.",
    "GET /v1/gateways/{gateway}/configuration": "The pushed configuration and what the gateway says it runs; the ETag is the version.",
    "PUT /v1/gateways/{gateway}/configuration": "The next configuration of a gateway, which fetches it; If-Match names the version it follows.",
    "GET /v1/me/passkeys": "One's own passkeys, without their keys.",
    "DELETE /v1/me/passkeys/{passkey_id}": "That passkey opens the door no more.",
    "DELETE /v1/people/{person_id}/hold": "The person's data may be erased again.",
    "GET /v1/people/{person_id}": "One person; the ETag is the version that a change follows.",
    "DELETE /v1/vouchers/{voucher_id}": "Withdraw a voucher before it is used.",
    "GET /metrics": "Counters of the hub for Prometheus.",
}

# Statuses of success beside the declared one
ALSO: Final[Mapping[str, Mapping[str, str]]] = {
    "POST /v1/session": {"202": "A second factor has to follow"},
    "POST /v1/deals": {"201": "Something was stored"},
    "PUT /v1/tag-tables/{digest}": {"201": "It was new"},
    "POST /v1/configuration-reports": {"204": "There is no newer configuration"},
    "POST /v1/people": {"202": "Somebody else has to agree first"},
    "PATCH /v1/people/{person_id}": {"202": "Somebody else has to agree first"},
    "GET /health": {"503": "Something is down; the document says what"},
}
