"""The `qenergyz` command: a table of sub-commands, each imported on first use."""

import importlib
import sys
from collections.abc import Sequence
from typing import Final

COMMANDS: Final = {
    "edge": ("edge.cli", "the agent on a gateway: run, check, status, enrol"),
    "hub": ("cloud.cli", "the hub: serve, voucher, token, revoke"),
    "sim": ("simulators.cli", "a field without hardware: run SCENARIO"),
    "demo": ("simulators.demo", "hub, simulators and two gateways on this machine, replaying real wells"),
    "verify": ("protocols.batch.verify", "check an exported bundle offline, with public keys only"),
}
EXTRA: Final = {"edge": "edge", "hub": "hub", "sim": "sim", "demo": "all", "verify": ""}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: qenergyz COMMAND ...\n\n" + "\n".join(f"  {name:8} {text}" for name, (_, text) in COMMANDS.items()))
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from importlib.metadata import version

        print(f"qenergyz {version('qenergyz')}")
        return 0
    name = arguments[0]
    if name not in COMMANDS:
        from protocols.tomlfile import nearest

        print(f'qenergyz: unknown command "{name}"{nearest(name, COMMANDS)} Known: {", ".join(COMMANDS)}.', file=sys.stderr)
        return 2
    try:
        module = importlib.import_module(COMMANDS[name][0])
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("edge", "cloud", "simulators", "protocols"):
            raise
        print(f'qenergyz {name} needs the package {error.name}: pip install "qenergyz[{EXTRA[name]}]"', file=sys.stderr)
        return 2
    result: int = module.main(arguments[1:])
    return result


if __name__ == "__main__":
    sys.exit(main())
