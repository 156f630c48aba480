"""The onboarding commands of `qenergyz edge` as a table; each is imported on first use, so that help and first words come at once."""

import argparse
import importlib
import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

COMMANDS: Final[Mapping[str, tuple[str, str, str]]] = {  # module, what it does, an example
    "init": ("start", "write a gateway file that passes the check", "init . --name rig1 --device well1=qenergyz_well_modbus@192.0.2.11:502 --no-input"),
    "test": ("probe", "connect to one device and read it once, step by step", "test gateway.toml well1"),
    "live": ("live", "show values as they come", "live gateway.toml well1 --for 10s"),
    "dry-run": ("dryrun", "collect for some cycles, keep and send nothing", "dry-run gateway.toml --cycles 3"),
    "browse": ("browse", "what a device has", "browse gateway.toml well3 '**/Flow*' --map well3"),
    "decode": ("decode", "what registers mean under every type and word order", 'decode --raw "4148 0000" --type float32'),
    "discover": ("discover", "what answers in a range of addresses", "discover --range 192.0.2.0/28 --ports 502,4840"),
    "doctor": ("doctor", "check this machine, the hub and every device, with a fix for what is wrong", "doctor gateway.toml"),
    "support-bundle": ("bundle", "collect what support needs, without secrets", "support-bundle gateway.toml --out support.zip"),
    "completion": ("completion", "a script that completes commands in a shell", "completion bash"),
    "schema": ("schema", "JSON Schema of gateway files and device maps, for editors", "schema gateway"),
}  # fmt: skip
READING: Final = frozenset(COMMANDS) - {"init", "completion"}  # have --json


def parser_of(name: str) -> argparse.ArgumentParser:
    module, text, example = COMMANDS[name]
    parser = argparse.ArgumentParser(
        prog=f"qenergyz edge {name}", description=f"{text[0].upper()}{text[1:]}.", epilog=f"Example: qenergyz edge {example}"
    )
    _module(module).add_arguments(parser)
    if name in READING:
        parser.add_argument("--json", action="store_true", help="for machines")
    return parser


def main(argv: Sequence[str]) -> int:
    options = parser_of(argv[0]).parse_args(argv[1:])
    from edge.onboarding import output

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a unit such as °C on a terminal that has no such letter
    out = output.Output(as_json=getattr(options, "json", False))
    try:
        code: int = _module(COMMANDS[argv[0]][0]).run(options, out)
        return code
    except output.Stop as stop:
        return out.stopped(stop)
    except BrokenPipeError:  # whoever read the output has seen enough
        sys.stderr.close()
        return output.OK
    except KeyboardInterrupt:
        out.say("interrupted")
        return output.INTERRUPTED


def _module(name: str) -> Any:
    return importlib.import_module(f"edge.onboarding.{name}")
