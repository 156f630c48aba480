"""What the market is told of a demonstration's event: the draft of a message, the order block, the emissions, the findings; then two people
publish it.

Everything goes over the hub's API, and the people sign in as they would in a browser. Not for the desk's figures: desk_demo has them.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from simulators.stories import ConductStory

Document = dict[str, Any]
FOUND_S: Final = 60.0
SECOND_US: Final = 1_000_000


class ConductError(Exception):
    """The hub did not take a document, or did not do what was expected; the message says which."""


def put(hub: str, token: str, story: ConductStory) -> None:
    """Profile, inventory of sources, and sales of gas to be judged, with a fact no deal says. Raises ConductError."""
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=hub, headers=headers, timeout=60) as client:
        toml = {"content-type": "application/toml"}
        _taken(client.put("/v1/compliance/profile", content=story.profile.read_bytes(), headers=toml))
        _taken(client.put("/v1/esg/inventory", content=story.inventory.read_bytes(), headers=toml))
        first = datetime.now(UTC).date()
        calendar = {"product": "gas", "place": "TTF", "first": f"{first - timedelta(days=40)}", "last": f"{first + timedelta(days=400)}"}
        _taken(client.put("/v1/calendars", json=[calendar]))
        _taken(client.post("/v1/deals", json=[gas_sale("GAS-0", days_ago=5), gas_sale("GAS-1")]))
        for deal in ("GAS-0", "GAS-1"):
            _taken(client.put(f"/v1/facts/WholesaleDeal/deal/{deal}", json={"standard": True}))


def gas_sale(deal_id: str, days_ago: int = 0) -> Document:
    """10 MW for the next month. GAS-0 is five days old and was never reported, so that there is something to find."""
    today = datetime.now(UTC).date()
    begin = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    end = (begin + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    hours = ((end - begin).days + 1) * 24
    leg = {
        "side": "sell",
        "product": "gas",
        "place": "TTF",
        "volume": {"value": f"{10 * hours}", "unit": "MWh"},
        "first": begin.isoformat(),
        "last": end.isoformat(),
        "price": {"fixed": {"value": "31.250", "currency": "EUR", "unit": "MWh"}},
        "physical": True,
        "granularity": "day",
        "zone": "UTC",
    }
    known_us = int((datetime.now(UTC) - timedelta(days=days_ago)).timestamp()) * SECOND_US
    return {"id": deal_id, "version": 1, "known_us": known_us, "book": "gas", "counterparty": "Refiner", "kind": "forward", "legs": [leg]}


class Person:
    """Somebody of the hub, signed in."""

    def __init__(self, hub: str, people: Sequence[Mapping[str, str]], role: str) -> None:
        login = next(one for one in people if one["role"] == role)
        self.name = login["name"]
        self._client = httpx.Client(base_url=hub, timeout=60)
        body = {"tenant": "default", "name": login["name"], "password": login["password"]}
        self._csrf = _taken(self._client.post("/v1/session", json=body))["csrf"]

    def __enter__(self) -> "Person":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **params: Any) -> Any:
        return _taken(self._client.get(path, params=params))

    def post(self, path: str, body: Any) -> httpx.Response:
        return self._client.post(path, json=body, headers={"x-csrf": self._csrf})

    def done(self, path: str, body: Any) -> Any:
        return _taken(self.post(path, body))


def play(hub: str, people: Sequence[Mapping[str, str]], asset: str) -> Document:
    """From the draft to the published message. Raises ConductError where a step is refused, or there is no draft."""
    with (
        Person(hub, people, "operator") as operator,
        Person(hub, people, "trader") as trader,
        Person(hub, people, "esg_analyst") as analyst,
        Person(hub, people, "compliance_officer") as officer,
    ):
        outage = _waited(lambda: next((one for one in operator.get("/v1/outages")["outages"] if one["asset"] == asset), None), "outage")
        event, message = outage["event"], outage["message"]
        _print_draft(outage)
        blocked = trader.post("/v1/deals", [gas_sale("GAS-2")])
        _say("order block", f"{blocked.status_code} {blocked.json().get('detail', '')}")
        released = _emitted(analyst, message)
        operator.done(f"/v1/outages/{event}/confirmation", {})
        asked = operator.done(f"/v1/outages/{event}/publication", None)
        _say("confirmed", f"by {operator.name}, who asks for publication")
        officer.done(f"/v1/approvals/{asked['approval']}/decision", {"agree": True, "reason": "capacity and reason checked"})
        whole = officer.get(f"/v1/outages/{event}")
        _say("published", f"{whole['published']}, agreed to by {officer.name}")
        for law, found in (("", whole["findings"]), ("as stated: ", whole["findings_as_stated"])):
            for finding in found:
                _say("finding", f"{law}{finding['rule']} {finding['outcome']}: {finding['why']}")
        filing = next(one for one in officer.get("/v1/filings", kind="UMM")["filings"] if one["subject"] == event)
        row = officer.get(f"/v1/evidence/{filing['versions'][-1]['evidence']}")
        layers = {layer["layer"]: layer["outcome"] for layer in row["output"]["layers"]}
        _say("filing", f"{filing['id']}: " + ", ".join(f"{layer} {outcome}" for layer, outcome in layers.items()))
        again = trader.post("/v1/deals", [gas_sale("GAS-2")])
        _say("after publication", f"the same deal is {'booked' if again.status_code < 300 else 'refused'} ({again.status_code})")
    return {
        "event": event,
        "message": whole["message"],
        "message_evidence": whole["evidence"],
        "blocked": blocked.status_code == 409,
        "emissions_t": released,
        "findings": whole["findings"],
        "published": whole["published"] is not None
        and blocked.status_code == 409
        and again.status_code < 300
        and "FAIL" not in layers.values(),
        "filing": {"id": filing["id"], "layers": layers},
    }


def _print_draft(outage: Document) -> None:
    message = outage["message"]
    _say("UMM draft", f"{message['id']} {message['unavailability']} {message['event_type']}, {outage['unit']} ({message['asset_eic']})")
    _say(
        "", f"{message['unavailable']} of {message['installed']} {message['unit']} unavailable from {message['start']} to {message['stop']}"
    )
    _say("", f"reason: {message['reason']}")
    _say("", f"evidence {outage['evidence'][:16]}, state {outage['state']}, orders {'blocked' if outage['blocks_orders'] else 'free'}")


def _emitted(analyst: Person, message: Document) -> Document:
    """Tonnes of CO2e since the event began, by scope."""
    from_us = int(datetime.fromisoformat(message["start"]).timestamp()) * SECOND_US
    to_us = int(time.time() - 1) * SECOND_US
    found = analyst.get("/v1/esg/emissions", from_us=from_us, to_us=to_us)["intervals"]
    known: Document = {}
    for one in found:
        for scope, tonnes in one["known_t"].items():
            known[scope] = known.get(scope, 0.0) + tonnes
        _say(
            "emissions",
            ", ".join(f"{scope} {tonnes:.3f} t CO2e" for scope, tonnes in one["known_t"].items())
            + f" ({one['gwp']}), evidence {one['id'][:16]}",
        )
    return known


def _say(what: str, text: str) -> None:
    print(f"  {what:18} {text}", flush=True)


def _waited(look: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + FOUND_S
    while time.monotonic() < until:
        if (found := look()) is not None:
            return found
        time.sleep(0.5)
    raise ConductError(f"no {what} within {FOUND_S:.0f} s")


def _taken(reply: httpx.Response) -> Any:
    if reply.status_code >= 300:
        raise ConductError(f"{reply.request.method} {reply.request.url.path}: {reply.status_code} {reply.text[:500]}")
    return reply.json()
