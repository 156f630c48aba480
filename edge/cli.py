"""`qenergyz edge`: run, check, status, enrol, rotate, accept-fork, arm, write, import, export, and what brings a gateway up (`edge/onboarding`).

Exit codes: 0 done, 1 it did not work, 2 the file or the command line is wrong; of the onboarding commands also 3 no such device, 4 an identity
was refused, 5 the agent is in the way, 7 unreachable or no answer in time, 130 interrupted.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edge.onboarding import commands as onboarding
from edge.onboarding.masking import Masker, of_gateway
from protocols.tomlfile import ConfigError, nearest

if TYPE_CHECKING:
    from edge.config import GatewayConfig
    from protocols.devicemap import Device


OWN: Final = {
    "run": "collect and forward until stopped",
    "check": "read the configuration and say what is wrong with it; touches neither network nor buffer",
    "status": "ask the running agent how it is",
    "enrol": "introduce this gateway to its hub with a one-time voucher",
    "rotate": "replace this gateway's key now; the hub takes the old one beside it for a while",
    "accept-fork": "go on with a hub whose log has another history than before; somebody answers for that",
    "arm": "ask the running agent for the code that lets one value be written to a tag",
    "write": "write a value to a tag that the site allows to be written",
}


def main(argv: Sequence[str]) -> int:
    if argv[:1] in (["import"], ["export"]):
        from edge import importing

        return importing.main(argv[1:], argv[0])
    if argv and argv[0] in onboarding.COMMANDS:
        return onboarding.main(argv)
    if argv and not argv[0].startswith("-") and argv[0] not in OWN:
        known = (*OWN, *onboarding.COMMANDS, "import", "export")
        print(f'qenergyz edge: unknown command "{argv[0]}"{nearest(argv[0], known)} Known: {", ".join(known)}.', file=sys.stderr)
        return 2
    options = parser_of_all().parse_args(argv)
    from edge import config

    try:
        if options.command == "check" and _is_map(options.config):
            return _check_map(options)
        gateway = config.load(options.config)
    except ConfigError as error:
        plain = Masker(of_gateway(options.config)).masked
        if getattr(options, "json", False):
            print(json.dumps({"ok": False, "file": str(error.path), "line": error.line, "error": plain(error.message)}))
        print(plain(str(error)), file=sys.stderr)
        return 2
    if options.command in ("enrol", "rotate", "accept-fork"):
        from edge import hubcommands

        of_hub = {"enrol": hubcommands.enrol, "rotate": hubcommands.rotate, "accept-fork": hubcommands.accept_fork}
        return of_hub[options.command](gateway, options)
    commands_by_name = {"run": _run, "check": _check, "status": _status, "arm": _arm, "write": _write}
    return commands_by_name[options.command](gateway, options)


def parser_of_all() -> argparse.ArgumentParser:
    """Our own commands whole; of the others, which parse for themselves, name and help."""
    parser = argparse.ArgumentParser(
        prog="qenergyz edge", description="The agent on a gateway: reads devices, keeps every sample, forwards signed batches."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in OWN.items():
        command = commands.add_parser(name, help=text, description=text)
        also = "; or the file of a device map" if name == "check" else ""
        command.add_argument("config", type=Path, help=f"gateway file, e.g. gateway.toml{also}")
        if name == "check":
            command.add_argument("--strict", action="store_true", help="remarks are errors")
            command.add_argument("--plan", action="store_true", help="also the requests that Modbus devices will get")
        if name in ("arm", "write"):
            command.add_argument("tag", help="device.tag")
            command.add_argument("value", type=float, help="in the tag's unit")
        if name == "write":
            command.add_argument("--arm", default="", metavar="CODE", help="what `arm` gave")
            command.add_argument("--expect", type=float, metavar="VALUE", help="write only if the tag has this value now")
            command.add_argument("--life", type=float, default=10.0, metavar="SECONDS", help="never write later than this (10)")
            command.add_argument("--key", default="", help="the same for a repetition of the same write, which is then done once")
        if name in ("check", "status", "arm", "write", "rotate", "accept-fork"):
            command.add_argument("--json", action="store_true", help="for machines")
        if name == "enrol":
            command.add_argument("--voucher", required=True, help="text, or @FILE to read it from a file")
            command.add_argument("--new-key", action="store_true", help="with a new key, because the hub has revoked the old one")
        if name == "rotate":
            command.add_argument("--overlap-days", type=float, default=7.0, metavar="DAYS", help="how long the old key is taken (7)")
        if name == "accept-fork":
            command.add_argument("--why", required=True, help="what happened to the hub; it is recorded")
            command.add_argument("--who", default="", metavar="NAME", help="who answers for it (you)")
        if name == "run":
            command.add_argument("--verbose", action="store_true", help="log more")
    for name, text in (("import", "make device maps of SunSpec models, SCL, nodesets, CSV"), ("export", "write a device map as CSV")):
        commands.add_parser(name, help=text, add_help=False)
    for name, (_, text, _) in onboarding.COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


def _check(gateway: "GatewayConfig", options: argparse.Namespace) -> int:
    from edge.lint import remarks

    tags = len(gateway.table.entries)
    maps = {device.map.name: device.map for device in gateway.devices}
    said = [f"{name}: {remark}" for name, one in maps.items() for remark in remarks(one)]
    if options.json:
        found = {"ok": True, "gateway": gateway.name, "devices": len(gateway.devices), "tags": tags, "table": gateway.table.digest.hex()}
        print(json.dumps(found | {"remarks": said}))
    else:
        print(f"{options.config}: gateway {gateway.name}, {len(gateway.devices)} devices, {tags} tags: nothing wrong")
        for device in gateway.devices:
            print(
                f"  {device.name}: {device.map.maker} {device.map.name} over {device.map.protocol} at {device.address}, {len(device.map.tags)} tags"
            )
            if options.plan and device.map.protocol == "modbus":
                print(_indented(device))
    return _remark(said, options)


def _indented(device: "Device") -> str:
    from protocols.modbus import plan

    settings = device.settings or plan.ModbusSettings()
    lines = plan.describe(plan.plan(device.map, settings.over(device.map.options)), device.map).splitlines()
    return "\n".join(f"    {line}" for line in lines)


def _is_map(path: Path) -> bool:
    from protocols.tomlfile import TomlFile

    return "device_map" in TomlFile.read(path).root


def _check_map(options: argparse.Namespace) -> int:
    from edge.lint import remarks
    from protocols.devicemap import load_device_map

    found = load_device_map(options.config)
    said = list(remarks(found))
    if options.json:
        print(json.dumps({"ok": True, "map": found.name, "protocol": found.protocol, "tags": len(found.tags), "remarks": said}))
    else:
        print(f"{options.config}: map of {found.maker} {', '.join(found.models)}, {len(found.tags)} tags over {found.protocol}")
        if found.protocol == "modbus":
            from protocols.modbus import plan

            print(plan.describe(plan.plan(found), found))
    return _remark(said, options)


def _remark(said: list[str], options: argparse.Namespace) -> int:
    for remark in said:
        print(f"remark: {remark}", file=sys.stderr)
    return 2 if said and options.strict else 0


def _run(gateway: "GatewayConfig", options: argparse.Namespace) -> int:
    sys.modules["click"] = None  # type: ignore[assignment]  # where it happens to be installed, httpx loads its command line: 40 ms, 5 MiB
    from edge.agent import Agent, AlreadyRunning
    from edge.buffer import BufferTrouble
    from edge.enrolment import EnrolmentError
    from protocols import tracing
    from protocols.clock import SystemClock

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("qenergyz").setLevel(logging.DEBUG if options.verbose else logging.INFO)
    for noisy, level in (("httpx", logging.WARNING), ("httpcore", logging.WARNING), ("asyncua", logging.CRITICAL)):
        logging.getLogger(noisy).setLevel(level)

    try:
        traced = tracing.start("qenergyz-edge", gateway.name, gateway.otlp or os.environ.get(tracing.ENVIRONMENT, ""))
    except tracing.TracingMissingError as error:  # collecting does not wait for it
        logging.getLogger("qenergyz.edge").warning("tracing_off cause=%s", error)
        traced = tracing.OFF

    async def work() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await Agent(gateway, SystemClock(), traced).run(stop)

    try:
        asyncio.run(work())
    except (AlreadyRunning, BufferTrouble, EnrolmentError, ValueError, OSError) as error:
        print(f"gateway {gateway.name} cannot start: {error}", file=sys.stderr)
        return 1
    return 0


def _status(gateway: "GatewayConfig", options: argparse.Namespace) -> int:
    import urllib.error
    import urllib.request

    path = gateway.data / "agent.json"
    try:
        url = json.loads(path.read_text())["url"]
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:  # noqa: S310 - our own loopback page
                document = json.load(reply)
        except urllib.error.HTTPError as error:
            document = json.load(error)
    except (OSError, ValueError, KeyError) as error:
        print(
            f"gateway {gateway.name}: the agent does not answer ({error}); start it with `qenergyz edge run {options.config}`",
            file=sys.stderr,
        )
        return 1
    if options.json:
        print(json.dumps(document))
    else:
        _print_status(document)
    return 0 if document["state"] != "red" else 1


def _print_status(document: "dict[str, Any]") -> None:
    backlog, hub = document["backlog"], document["hub"]
    print(f"{document['gateway']}: {document['state']}")
    for cause in document["components"]:
        print(f"  {cause['state']}: {cause['cause']}\n    next step: {cause['next_step']}")
    print(
        f"  collected {document['collected']} samples, dropped {document['dropped']}; {backlog['total_bytes'] / 1e6:.1f} MB in the buffer"
    )
    print(
        f"  waiting for a receipt: {backlog['sealed_batches']} batches, {backlog['sealed_samples']} samples; not yet sealed {backlog['open_samples']} samples"
    )
    if hub:
        print(
            f"  hub {'connected' if hub['connected'] else 'not connected'}, {hub['receipts_verified']} receipts verified, lag {hub['receipt_lag_us'] / 1e6:.2f} s"
        )
    for device in document["devices"]:
        age = f"{(document['now_us'] - device['last_good_us']) / 1e6:.1f} s ago" if device["last_good_us"] else "never"
        print(
            f"  {device['name']} ({device['protocol']}): {'up' if device['up'] else 'down'}, last data {age}, {device['samples']} samples"
        )


def _arm(gateway: "GatewayConfig", options: argparse.Namespace) -> int:
    answer = _ask(gateway, options, {"do": "arm", "tag": options.tag, "value": options.value}, 10.0)
    if options.json:
        print(json.dumps(answer))
    elif answer["ok"]:
        print(f"armed for a minute: qenergyz edge write {options.config} {options.tag} {options.value:g} --arm {answer['arm']}")
    else:
        print(f"not armed: {answer['error']}", file=sys.stderr)
    return 0 if answer["ok"] else 1


def _write(gateway: "GatewayConfig", options: argparse.Namespace) -> int:
    import secrets

    request = {"do": "write", "tag": options.tag, "value": options.value, "life_s": options.life, "arm": options.arm}
    request |= {"key": options.key or secrets.token_hex(8), "expected": options.expect}
    answer = _ask(gateway, options, request, options.life + 10.0)
    done = answer["ok"] and answer["outcome"] == "done"
    if options.json:
        print(json.dumps(answer | {"key": request["key"]}))
    elif done:
        print(f"{options.tag} = {options.value:g}: done")
    else:
        said = f"{answer['outcome']}: {answer['cause']}" if answer["ok"] else answer["error"]
        print(f"{options.tag}: {said} (key {request['key']})", file=sys.stderr)
    return 0 if done else 1


def _ask(gateway: "GatewayConfig", options: argparse.Namespace, request: "dict[str, Any]", patience_s: float) -> "dict[str, Any]":
    from edge.control import ask

    try:
        return ask(gateway.data, request, patience_s)
    except (OSError, ValueError) as error:
        return {"ok": False, "error": f"the agent does not answer ({error}); start it with `qenergyz edge run {options.config}`"}
