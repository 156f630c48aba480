"""`qenergyz edge` enrol, rotate, accept-fork: what a person does about this gateway and its hub."""

import argparse
import asyncio
import getpass
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import httpx

from edge import enrolment, hubtls
from edge.config import GatewayConfig
from edge.onboarding.masking import Masker

DAY_S = 86_400


def enrol(gateway: GatewayConfig, options: argparse.Namespace) -> int:
    if _no_hub(gateway, options, "enrol"):
        return 2
    voucher = options.voucher
    try:
        voucher = Path(voucher[1:]).read_text().strip() if voucher.startswith("@") else voucher

        async def ask() -> enrolment.Enrolment:
            tls = _tls(gateway)
            async with httpx.AsyncClient(timeout=20, verify=tls.context) as client:
                key = gateway.access.key
                done = await enrolment.enrol(client, gateway.hub, gateway.name, voucher, gateway.data, key, renew=options.new_key)
                await _certify(client, gateway)
                return done

        done = asyncio.run(ask())
    except (enrolment.EnrolmentError, httpx.HTTPError, OSError, ValueError) as error:
        print(Masker([voucher]).masked(f"not enrolled: {hubtls.plain(error)}"), file=sys.stderr)  # a hub may repeat what it was sent
        return 1
    print(f"{done.gateway} enrolled with tenant {done.tenant}, log {done.origin}")
    kid = enrolment.load_or_make_key(gateway.data, gateway.access.key).key_id.hex()
    print(f"key {' '.join(kid[at : at + 4] for at in range(0, 32, 4))}: compare it with what the hub shows")
    return 0


def rotate(gateway: GatewayConfig, options: argparse.Namespace) -> int:
    """Replace the gateway's key now. A running agent takes the new one up by itself."""
    if _no_hub(gateway, options, "rotate"):
        return 2
    overlap_s = int(options.overlap_days * DAY_S)

    async def ask() -> int:
        tls = _tls(gateway)
        async with httpx.AsyncClient(timeout=20, verify=tls.context) as client:
            if gateway.access.key is not None:
                raise enrolment.EnrolmentError(
                    f"the site keeps the key as {gateway.access.key}: put a new one there and enrol it with a voucher"
                )
            ends_us = await enrolment.rotate(client, gateway.hub, gateway.data, overlap_s)
            await _certify(client, gateway)
            return ends_us

    try:
        ends_us = asyncio.run(ask())
    except (enrolment.EnrolmentError, httpx.HTTPError, OSError, ValueError) as error:
        said = f"not rotated: {hubtls.plain(error)}"
        if options.json:
            print(json.dumps({"ok": False, "error": said}))
        print(said, file=sys.stderr)
        return 1
    key = enrolment.load_or_make_key(gateway.data).key_id.hex()
    if options.json:
        print(json.dumps({"ok": True, "key": key, "old_ends_us": ends_us}))
    else:
        print(f"new key {key[:16]}; the hub takes the old one until {datetime.fromtimestamp(ends_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC")
    return 0


def accept_fork(gateway: GatewayConfig, options: argparse.Namespace) -> int:
    """Go on with a hub whose log is not the one it was: somebody answers for that."""
    from edge.control import ask

    try:
        answer = ask(gateway.data, {"do": "accept-fork", "who": options.who or getpass.getuser(), "why": options.why}, 10.0)
    except (OSError, ValueError) as error:
        answer = {"ok": False, "error": f"the agent does not answer ({error}); start it with `qenergyz edge run {options.config}`"}
    if options.json:
        print(json.dumps(answer))
    elif answer["ok"]:
        print(answer["said"])
    else:
        print(f"not accepted: {answer['error']}", file=sys.stderr)
    return 0 if answer["ok"] else 1


async def _certify(client: httpx.AsyncClient, gateway: GatewayConfig) -> None:
    """Where the hub issues certificates and the operator has given none."""
    if gateway.access.client_cert is None and gateway.hub.startswith("https:"):
        signer = enrolment.load_or_make_key(gateway.data, gateway.access.key)
        await hubtls.certify(client, gateway.hub, gateway.urn, gateway.data, signer)


def _tls(gateway: GatewayConfig) -> hubtls.Tls:
    tls = hubtls.Tls(gateway.hub, gateway.access, gateway.data)
    if tls.cause:
        raise ValueError(tls.cause)
    return tls


def _no_hub(gateway: GatewayConfig, options: argparse.Namespace, verb: str) -> bool:
    if not gateway.hub:
        print(f'{options.config}: [gateway] needs hub = "https://..." to {verb}', file=sys.stderr)
    return not gateway.hub
