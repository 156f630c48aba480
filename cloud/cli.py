"""`qenergyz hub`: serve, voucher, token, gateways, revoke, tenant, person, rules, status, completeness (and prices: `market.fetch`). Exit codes: 0 done, 1 it did not work, 2 the command line is wrong.

Commands other than serve work while the hub runs (its address is in DATA/hub.json) and while it does not: then they start the
embedded database for the moment. DATA/lock is held by whoever has started the database, so that nobody stops it under another.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg

from cloud import people_cli, serving
from cloud.config import HubConfig, Tls
from cloud.data_folder import LOCK_WAIT_S, CommandError, find_tenant, lock, running, with_database
from cloud.db import Database, MigrationError, Unavailable, migrate
from cloud.identity import store, token_store
from cloud.identity.credentials import SCOPES, TOKEN_PREFIX, VOUCHER_PREFIX, hash_secret, is_name, make_secret
from cloud.postgres import Cluster, ClusterError
from protocols import tracing
from protocols.tracing import OFF, Tracing

HOUR_US: Final = 3_600_000_000
DATABASE_WAIT_S: Final = 60.0
SWITCH_S: Final = 0.0005  # a thread that verifies or compacts hands over to the loop this soon; Python's 5 ms would add up in every answer
_logger = logging.getLogger("qenergyz.hub")


def main(argv: Sequence[str]) -> int:
    if argv[:1] == ["prices"]:
        from cloud.market import fetch

        return fetch.main(argv[1:])
    if argv[:1] == ["rules"]:
        from cloud import compliance_cli

        return compliance_cli.main(argv[1:])
    options = _parser().parse_args(argv)
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "serve": _serve,
        "voucher": _voucher,
        "token": _token,
        "revoke": _revoke,
        "gateways": _gateways,
        "tenant": people_cli.tenant,
        "person": people_cli.person,
        "status": _status,
        "completeness": _completeness,
    }
    try:
        return commands[options.command](options)
    except (CommandError, ClusterError, MigrationError, Unavailable, psycopg.OperationalError) as error:
        print(f"qenergyz hub {options.command}: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="qenergyz hub", description="The cloud program: verifies, keeps and proves what gateways send.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--data", type=Path, required=True, help="the hub's data folder")
        command.add_argument("--database-url", help="another PostgreSQL instead of the embedded one")
        return command

    serve = add("serve", "run the hub")
    serve.add_argument("--listen", default="127.0.0.1:8400", help="host:port, port 0 for a free one (default %(default)s)")
    serve.add_argument("--tls-cert", type=Path, metavar="FILE", help="the hub's certificate chain (PEM): serve https")
    serve.add_argument("--tls-key", type=Path, metavar="FILE", help="its key (PEM)")
    serve.add_argument(
        "--client-ca",
        action="append",
        metavar="FILE|own",
        help="gateways must show a certificate of this authority (PEM), or with `own` one that this hub issues; may be given several times",
    )
    serve.add_argument("--origin", metavar="URL", help="where people's pages come from when a proxy stands before the hub")
    serve.add_argument("--name", default="hub.localhost", help="name of the hub in its log origins (default %(default)s)")
    voucher = add("voucher", "make a one-time voucher for a gateway and print it")
    voucher.add_argument("--gateway", required=True)
    voucher.add_argument("--tenant", default="default")
    voucher.add_argument("--hours", type=float, default=24.0, help="how long it is valid (default %(default)s)")
    token = add("token", "make a token for the API and print it")
    token.add_argument("--name", required=True, help="what the token is for")
    token.add_argument("--scope", action="append", choices=SCOPES, help="may be given several times (default read)")
    token.add_argument("--tenant", default="default")
    token.add_argument("--days", type=float, help="how long it is valid (default: until revoked)")
    revoke = add("revoke", "revoke all keys of a gateway")
    revoke.add_argument("gateway", nargs="?", metavar="GATEWAY")
    revoke.add_argument("--gateway", dest="named", help=argparse.SUPPRESS)
    revoke.add_argument("--tenant", default="default")
    gateways = add("gateways", "list gateways and their keys")
    gateways.add_argument("--tenant", default="default")
    gateways.add_argument("--json", action="store_true", help="for machines")
    people_cli.add_parsers(add)
    commands.add_parser("rules", add_help=False, help="list rules, explain a finding, judge all deals and facts")
    add("status", "ask the running hub how it is")
    complete = add("completeness", "say of every tag of a gateway: all present, or the exact gaps with cause and duration")
    complete.add_argument("--gateway", required=True)
    complete.add_argument("--tag", help="only this one: device.tag")
    complete.add_argument("--tenant", default="default")
    complete.add_argument("--hours", type=float, default=24.0, help="how far back from --to (default %(default)s)")
    complete.add_argument("--to", metavar="TIME", help="end of the window, e.g. 2026-05-01T12:00:00Z (default: now)")
    complete.add_argument("--json", action="store_true", help="for machines")
    commands.add_parser("prices", add_help=False, help="fetch daily prices from the EIA's open data into a running hub")
    return parser


def _serve(options: argparse.Namespace) -> int:
    host, _, port = options.listen.rpartition(":")
    if not host or not port.isdigit():
        raise CommandError(f'--listen: expected host:port, found "{options.listen}"')
    config = HubConfig(
        options.data.resolve(), options.name, host.strip("[]"), int(port), options.database_url, _tls(options), options.origin
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    config.data.mkdir(parents=True, exist_ok=True)
    with _own(config.data):
        cluster = None if config.database_url else Cluster(config.data / "pg")
        try:
            url = cluster.start() if cluster else _awaited(str(config.database_url))
            migrate(url)
            return asyncio.run(_run(config, url, cluster))
        finally:
            config.state_file.unlink(missing_ok=True)
            if cluster:
                cluster.stop()


def _awaited(url: str) -> str:
    """A database of somebody else's that starts at the same time as we do, or comes back from a crash, is waited for: the hub is not to blame."""
    deadline, told = time.monotonic() + DATABASE_WAIT_S, False
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise CommandError(f"--database-url: no connection within {DATABASE_WAIT_S:.0f} s: {error}") from error
            if not told:
                _logger.warning("database_awaited reason=%s", str(error).strip().replace("\n", " "))
                told = True
            time.sleep(0.1)
        else:
            return url


def _tls(options: argparse.Namespace) -> Tls | None:
    if options.tls_cert is None and options.tls_key is None:
        if options.client_ca:
            raise CommandError("--client-ca needs --tls-cert and --tls-key: certificates are shown in TLS sessions only")
        return None
    if options.tls_cert is None or options.tls_key is None:
        raise CommandError("--tls-cert and --tls-key go together")
    named = options.client_ca or []
    files = tuple(Path(name) for name in named if name != "own")
    for path in (options.tls_cert, options.tls_key, *files):
        if not os.access(path, os.R_OK):
            raise CommandError(f"{path} cannot be read; name a PEM file that the hub's user can read")
    if (mode := options.tls_key.stat().st_mode & 0o077) != 0:
        raise CommandError(f"{options.tls_key}: others can read the key (mode ..{mode:02o}); chmod 600 {options.tls_key}")
    return Tls(options.tls_cert.resolve(), options.tls_key.resolve(), tuple(path.resolve() for path in files), "own" in named)


@contextlib.contextmanager
def _own(data: Path) -> Iterator[None]:
    """Hold the folder for the life of the hub; wait for a command or for a hub that is ending."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        with lock(data) as ours:
            if ours:
                yield
                return
        if time.monotonic() > deadline or running(data):
            raise CommandError(f"another hub or command uses {data}")
        time.sleep(0.1)


async def _run(config: HubConfig, url: str, cluster: Cluster | None) -> int:
    import uvicorn

    from cloud.app import create_app

    class Server(uvicorn.Server):
        """Ends on our signals only, and says when it is ready."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            for kind in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(kind, self._leave)
            yield

        def _leave(self) -> None:
            app.state.hub.closing.set()  # live streams end, so that nobody waits for them
            self.should_exit = True

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                _announce(config, url, listening)

    sys.setswitchinterval(SWITCH_S)
    traced = _tracing(config.name)
    app = create_app(config, url, cluster=cluster, tracing=traced)
    context = serving.context(config.tls, app.state.hub.authority) if config.tls else None
    listening = _listen(config.host, config.port)
    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
            timeout_keep_alive=60,
            server_header=False,
            **(serving.options(config.tls, context) if config.tls and context else {}),
        )
    )
    await server.serve(sockets=[listening])
    await asyncio.to_thread(traced.close)
    return 0 if server.started else 1


def _tracing(name: str) -> Tracing:
    """As the standard variable says; a hub without the extra works without spans."""
    try:
        return tracing.start("qenergyz-hub", name, os.environ.get(tracing.ENVIRONMENT, ""))
    except tracing.TracingMissingError as error:
        logging.getLogger("qenergyz.hub").warning("tracing_off cause=%s", error)
        return OFF


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only where TCP is named
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise CommandError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listening


def _announce(config: HubConfig, database_url: str, listening: socket.socket) -> None:
    host = f"[{config.host}]" if ":" in config.host else config.host
    url = f"{'https' if config.tls else 'http'}://{host}:{listening.getsockname()[1]}"
    making = config.state_file.with_suffix(".making")
    making.unlink(missing_ok=True)
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        certificate = str(config.tls.certificate) if config.tls else None
        json.dump({"url": url, "pid": os.getpid(), "database_url": database_url, "certificate": certificate}, file)
    making.rename(config.state_file)
    print(f"qenergyz hub listens on {url}", flush=True)


def _voucher(options: argparse.Namespace) -> int:
    if not is_name(options.gateway):
        raise CommandError(f'--gateway: expected lower-case letters, digits, ".", "_" and "-", found "{options.gateway}"')
    if options.hours <= 0:
        raise CommandError("--hours must be more than 0")
    secret = make_secret(VOUCHER_PREFIX)

    async def add(db: Database) -> None:
        tenant = await find_tenant(db, options.tenant)
        now_us = time.time_ns() // 1000
        async with db.tenant(tenant.tenant_id) as connection:
            ends_us = now_us + int(options.hours * HOUR_US)
            arguments = (connection, tenant.tenant_id, hash_secret(secret), options.gateway, None, now_us, ends_us)
            voucher_id = await token_store.add_voucher(*arguments)
            await people_cli.record(
                connection, tenant, "make-voucher", f"gateway/{options.gateway}", {"id": voucher_id, "ends_us": ends_us}
            )

    with_database(options, add)
    print(secret)
    return 0


def _token(options: argparse.Namespace) -> int:
    secret = make_secret(TOKEN_PREFIX)

    async def add(db: Database) -> None:
        tenant = await find_tenant(db, options.tenant)
        now_us = time.time_ns() // 1000
        expires_us = now_us + int(options.days * 24 * HOUR_US) if options.days else None
        scopes = sorted(set(options.scope or ["read"]))
        async with db.tenant(tenant.tenant_id) as connection:
            arguments = (connection, tenant.tenant_id, hash_secret(secret), options.name, scopes, None, now_us, expires_us)
            detail = {"id": await token_store.add_token(*arguments), "scopes": scopes, "ends_us": expires_us}
            await people_cli.record(connection, tenant, "make-token", f"token/{options.name}", detail)

    with_database(options, add)
    print(secret)
    return 0


def _revoke(options: argparse.Namespace) -> int:
    options.gateway = options.gateway or options.named
    if not options.gateway:
        raise CommandError("say which gateway; `qenergyz hub gateways` lists them")

    async def revoke(db: Database) -> int:
        tenant = await find_tenant(db, options.tenant)
        async with db.tenant(tenant.tenant_id) as connection:
            ended = await store.revoke(connection, tenant.tenant_id, options.gateway, time.time_ns() // 1000)
            if ended:
                await people_cli.record(connection, tenant, "revoke-keys", f"gateway/{options.gateway}", {"keys": ended})
        return ended

    count = with_database(options, revoke)
    if not count:
        raise CommandError(f'gateway "{options.gateway}" has no key that could be revoked; `qenergyz hub gateways` lists them')
    print(f"{count} key(s) of {options.gateway} revoked; a running hub follows within 60 s")
    return 0


def _gateways(options: argparse.Namespace) -> int:
    async def read(db: Database) -> list[store.GatewayKeys]:
        return await store.gateway_keys(db, (await find_tenant(db, options.tenant)).tenant_id)

    found = with_database(options, read)
    now_us = time.time_ns() // 1000
    if options.json:
        print(json.dumps([one.document(now_us) for one in found]))
        return 0
    for one in found:
        print(f"{one.name}  last seen {_moment(one.last_seen_us)}")
        for key in one.keys:
            print(f"  key {key.kid.hex()[:16]}  since {_moment(key.not_before_us)}  {key.state(now_us)}{_until(key.revoked_us)}")
    if not found:
        print(f'no gateway is enrolled with tenant "{options.tenant}"; `qenergyz hub voucher` lets one in')
    return 0


def _moment(at_us: int | None) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ") if at_us else "never"


def _until(at_us: int | None) -> str:
    return f" {_moment(at_us)}" if at_us else ""


def _status(options: argparse.Namespace) -> int:
    import urllib.error
    import urllib.request

    state = running(options.data)
    if state is None:
        raise CommandError("the hub is not running")
    try:
        context = serving.own_context(state["certificate"]) if state.get("certificate") else None
        with urllib.request.urlopen(f"{state['url']}/health", timeout=10, context=context) as reply:  # noqa: S310  # our own address
            text, code = reply.read().decode(), 0
    except urllib.error.HTTPError as error:
        text, code = error.read().decode(), 1
    except OSError as error:
        raise CommandError(f"no answer from {state['url']}: {error}") from error
    print(f"{state['url']} {text}")
    return code


def _completeness(options: argparse.Namespace) -> int:
    """Exit code 0: all present, 1: not."""
    from cloud.telemetry import stated

    try:
        to_us = stated.moment_us(options.to) if options.to else time.time_ns() // 1000
    except ValueError as error:
        raise CommandError(f"--to: {error}") from error
    if options.hours <= 0:
        raise CommandError("--hours must be more than 0")
    window = (to_us - int(options.hours * HOUR_US), to_us)

    async def ask(db: Database) -> tuple[stated.Stated, ...]:
        tenant = await find_tenant(db, options.tenant)
        try:
            return await stated.of_gateway(db, tenant.tenant_id, options.gateway, options.tag, *window)
        except LookupError as error:
            raise CommandError(str(error)) from error

    found = with_database(options, ask)
    print("\n".join(stated.as_json(options.gateway, *window, found) if options.json else stated.as_text(options.gateway, *window, found)))
    return 0 if all(one.complete for one in found) else 1
