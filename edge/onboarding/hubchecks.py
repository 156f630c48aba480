"""What `doctor` asks of the hub: name, certificate, answer, time, enrolment. Each step stands alone and says what it found.

Nothing is sent that changes anything, and no key is used.
"""

import asyncio
import json
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from edge import hubtls
from edge.config import HubAccess
from edge.onboarding.checks import Check, failed, passed, warned

SOON_DAYS: Final = 21
SLOW_S: Final = 2.0
TIMEOUT_S: Final = 5.0
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_OFF_WARN_S, _OFF_FAIL_S = 5, 300


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the hub is."""

    url: str
    host: str
    port: int
    secure: bool

    @classmethod
    def of(cls, url: str) -> "Hub":
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        return cls(url, parts.hostname or "", parts.port or (443 if secure else 80), secure)


async def name(hub: Hub) -> Check:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            found = await asyncio.get_running_loop().getaddrinfo(hub.host, hub.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        return failed(
            "hub name", f'"{hub.host}" is not known: {error or "no answer from DNS"}', 'check "hub" in [gateway] and /etc/resolv.conf'
        )
    return passed("hub name", f"{hub.host} is {found[0][4][0]}")


async def certificate(hub: Hub, authorities: ssl.SSLContext, now: datetime) -> Check:
    if not hub.secure:
        if hub.host in LOOPBACK:
            return passed("hub certificate", "no TLS, and none needed on this machine")
        fix = 'use https:// in "hub"; batches are signed in any case, but everybody on the way can read them'
        return warned("hub certificate", "no TLS", fix)
    try:
        found = await _peer_certificate(hub, authorities)
    except ssl.SSLCertVerificationError as error:
        fix = "have the hub send its whole chain, or make its authority known to this machine (SSL_CERT_FILE); check the clock and the name"
        return failed("hub certificate", f"not trusted: {error.verify_message}{await _expiry_all_the_same(hub, now)}", fix)
    except (OSError, TimeoutError) as error:
        return failed(
            "hub certificate", f"no TLS session: {error or 'no answer'}", "check host and port, and that the hub serves https there"
        )
    return expiry(x509.load_der_x509_certificate(found), now)


async def _peer_certificate(hub: Hub, context: ssl.SSLContext) -> bytes:
    async with asyncio.timeout(TIMEOUT_S):
        _, writer = await asyncio.open_connection(hub.host, hub.port, ssl=context, server_hostname=hub.host)
    try:
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return found
    finally:
        writer.close()


async def _expiry_all_the_same(hub: Hub, now: datetime) -> str:
    """Of a certificate that is not trusted, to say so. Nothing is sent over that connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        found = x509.load_der_x509_certificate(await _peer_certificate(hub, context))
    except (OSError, TimeoutError, ValueError):
        return ""
    return f"; it ended {found.not_valid_after_utc:%Y-%m-%d}" if found.not_valid_after_utc < now else ""


def expiry(found: x509.Certificate, now: datetime) -> Check:
    left = found.not_valid_after_utc - now
    said = f"trusted, until {found.not_valid_after_utc:%Y-%m-%d}"
    if left.total_seconds() < 0:
        return failed(
            "hub certificate", f"ended {found.not_valid_after_utc:%Y-%m-%d}", "ask the hub's operator to renew it; check this clock"
        )
    if left.days < SOON_DAYS:
        return warned("hub certificate", f"{said}: {left.days} days", "ask the hub's operator to renew it")
    return passed("hub certificate", said)


async def answer(hub: Hub, authorities: ssl.SSLContext) -> tuple[Check, Check]:
    """Whether the hub answers, and how far its clock is from ours (by its Date header, so to a second)."""
    request = f"GET /health HTTP/1.1\r\nHost: {hub.host}\r\nConnection: close\r\n\r\n".encode()
    context = authorities if hub.secure else None
    begun = time.monotonic()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            reader, writer = await asyncio.open_connection(hub.host, hub.port, ssl=context, server_hostname=hub.host if context else None)
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        unknown = warned("hub clock", "not known, the hub does not answer", "see the check of the hub")
        return failed(
            "hub", f"no answer from {hub.host}:{hub.port}: {error or 'timed out'}", "check the address, the firewall and the hub"
        ), unknown
    seconds = time.monotonic() - begun
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1."):
        return failed("hub", f"{hub.host}:{hub.port} does not speak HTTP", 'check "hub" in [gateway]'), warned(
            "hub clock", "not known", "see hub"
        )
    status = int(lines[0].split(" ")[1]) if lines[0].split(" ")[1:2] and lines[0].split(" ")[1].isdecimal() else 0
    date = next((line.partition(":")[2].strip() for line in lines[1:] if line.lower().startswith("date:")), "")
    if status >= 500:
        return failed("hub", f"answers with {status}", "the hub itself is in trouble: ask its operator"), offset(date, time.time())
    if seconds > SLOW_S:
        return warned("hub", f"answers in {seconds:.1f} s", "check the link; batches wait in the buffer meanwhile"), offset(
            date, time.time()
        )
    return passed("hub", f"answers in {seconds * 1000:.0f} ms"), offset(date, time.time())


def offset(date: str, now_s: float) -> Check:
    try:
        ahead_s = parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp() + 0.5 - now_s
    except (ValueError, TypeError):
        return passed("hub clock", "the hub does not tell its time")
    said = f"the hub's clock is {ahead_s:+.0f} s from ours"
    fix = "synchronise this machine: timedatectl set-ntp true; if it is, tell the hub's operator"
    if abs(ahead_s) > _OFF_FAIL_S:
        return failed("hub clock", said, fix)
    if abs(ahead_s) > _OFF_WARN_S:
        return warned("hub clock", said, fix)
    return passed("hub clock", "within some seconds of ours")


def client_certificate(access: HubAccess, data: Path, gateway: str, context: ssl.SSLContext, now: datetime) -> Check:
    """The one that this gateway shows to the hub: key, name and dates. It is loaded into `context` for what is asked next."""
    renew = "put a renewed one there" if access.client_cert else "qenergyz edge rotate has the hub issue another"
    try:
        hubtls.show(context, access, data)
        found = hubtls.current(access, data)
    except (OSError, ValueError) as error:
        return failed("client certificate", f"cannot be used: {error}", renew)
    if found is None:
        return passed("client certificate", "none, and none needed unless the hub asks for one")
    names = hubtls.names_of(found)
    if gateway not in names and gateway.rpartition(":")[2] not in names:
        return failed("client certificate", f"is that of {', '.join(names) or 'nobody'}, this gateway is {gateway}", renew)
    until = f"until {found.not_valid_after_utc:%Y-%m-%d}"
    if found.not_valid_after_utc < now:
        return failed("client certificate", f"ended {found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC", f"{renew}; check this clock")
    if found.not_valid_before_utc > now:
        return failed("client certificate", f"begins {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC", "check this clock")
    if hubtls.renewal_due(found, now):
        return warned(
            "client certificate", f"{until}: it ends soon", renew if access.client_cert else "the agent renews it when it reaches the hub"
        )
    return passed("client certificate", until)


def enrolled(data: Path, hub: str, config: Path) -> Check:
    if not hub:
        return passed("enrolment", "no hub is named: samples are collected and kept here")
    path = data / "enrolment.json"
    ask = f"qenergyz edge enrol {config} --voucher @FILE, with a voucher from the hub's operator"
    if not path.exists():
        return warned("enrolment", "this gateway is not enrolled: samples are collected, nothing is sent", ask)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        tenant = str(found["tenant"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return failed("enrolment", f"{path} cannot be used: {error!r}", f"remove it, then {ask}")
    if not (data / "gateway.key").exists():
        return failed("enrolment", "enrolled, but gateway.key is missing", f"restore it from your backup, or remove {path}, then {ask}")
    return passed("enrolment", f"with tenant {tenant}")
