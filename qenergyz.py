"""The `qenergyz` command: a table of sub-commands, each imported on first use."""

import importlib
import os
import platform
import sys
from collections.abc import Sequence
from typing import Final

COMMANDS: Final = {
    "edge": ("edge.cli", "the agent on a gateway: run, check, status, enrol"),
    "hub": ("cloud.cli", "the hub: serve, voucher, token, revoke"),
    "sim": ("simulators.cli", "a field without hardware: run SCENARIO"),
    "demo": ("simulators.demo", "hub, simulators and two gateways on this machine, replaying real wells"),
    "verify": ("protocols.batch.verify", "check an exported file offline, with public keys only; --recompute repeats the calculation"),
}
EXTRA: Final = {"edge": "edge", "hub": "hub", "sim": "sim", "demo": "all", "verify": ""}
# What the hub computes is to be computed again to the bit on any x86-64 processor with AVX2: numpy and BLAS choose their instructions when
# they are imported, and AVX-512 gives other last bits. docs/decisions/0007 has the measurement.
SAME_BITS: Final = {"NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR", "OPENBLAS_CORETYPE": "Haswell"}
RECOMPUTE: Final = "--recompute"  # with it, `verify` repeats the calculation, which takes the hub's packages


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
    if name == "verify" and RECOMPUTE in arguments:
        return _run(f"{name} {RECOMPUTE}", "cloud.recompute", "hub", [one for one in arguments[1:] if one != RECOMPUTE])
    return _run(name, COMMANDS[name][0], EXTRA[name], arguments[1:])


def _run(command: str, module_name: str, extra: str, arguments: list[str]) -> int:
    if module_name.startswith("cloud.") and platform.machine() in ("x86_64", "AMD64") and "numpy" not in sys.modules:
        for name, value in SAME_BITS.items():
            os.environ.setdefault(name, value)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            print(f"qenergyz {command}: this version has no {module_name}", file=sys.stderr)
            return 2
        if error.name and error.name.split(".")[0] in ("edge", "cloud", "simulators", "protocols"):
            raise
        print(f'qenergyz {command} needs the package {error.name}: pip install "qenergyz[{extra}]"', file=sys.stderr)
        return 2
    result: int = module.main(arguments)
    return result


if __name__ == "__main__":
    sys.exit(main())
