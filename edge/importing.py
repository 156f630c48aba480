"""`qenergyz edge import sunspec|scl|nodeset|csv`, and `export csv`: lists of makers and standards to device maps. Reads files, no devices.

The map is written to `--out` (a file, or a folder for SCL with several IEDs) or printed. What was made is loaded once, so that a map that
comes out of here can be used. Exit codes as of `qenergyz edge`.
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from protocols.devicemap import load_device_map
from protocols.tomlfile import ConfigError


def main(argv: Sequence[str], verb: str) -> int:
    options = _parser(verb).parse_args(argv)
    from edge.importers.draft import ImportFailed

    try:
        if verb == "export":
            from edge.importers.csv_map import export_csv

            _put(options.out, "", export_csv(options.files[0]))
            return 0
        made, remarks = _made(options)
    except Exception as error:
        if not isinstance(error, (ImportFailed, ValueError, OSError, *_foreign())):
            raise
        print(f"not imported: {error}", file=sys.stderr)
        return 2
    for remark in remarks:
        print(f"left out: {remark}", file=sys.stderr)
    return _write(options.out, made)


def _parser(verb: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"qenergyz edge {verb}", description=f"{verb} device maps")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind, text in _KINDS[verb].items():
        command = kinds.add_parser(kind, help=text, description=text)
        command.add_argument("files", type=Path, nargs="+" if kind in ("sunspec", "nodeset") else 1, metavar="FILE")
        command.add_argument("--out", type=Path, help="file or folder to write to; printed when left out")
        if kind in ("sunspec", "nodeset"):
            command.add_argument("--name", required=True, help="of the device map: small letters, digits and _")
        if kind == "sunspec":
            command.add_argument("--maker", default="SunSpec Alliance member")
            command.add_argument(
                "--base", type=int, required=True, metavar="REGISTER", help="of the first model's ID, zero-based; often 40002 or 40069"
            )
            command.add_argument("--repeat", type=int, default=1, metavar="N", help="how often repeating groups are laid out (1)")
        if kind == "scl":
            command.add_argument("--ied", default="", help="only this IED")
            command.add_argument("--lenient", action="store_true", help="leave out what violates the schema instead of refusing the file")
    return parser


_KINDS: Mapping[str, Mapping[str, str]] = {
    "import": {
        "sunspec": "models of the SunSpec Alliance (JSON), in the order in which the device has them",
        "scl": "IEC 61850 SCL file (ICD, CID, SCD): one map per IED",
        "nodeset": "OPC UA NodeSet2 XML: the instances of the first file; others for its types",
        "csv": "a spreadsheet as `export csv` writes it",
    },
    "export": {"csv": "a device map as CSV, to be worked on in a spreadsheet"},
}


def _made(options: argparse.Namespace) -> tuple[dict[str, str], Sequence[str]]:
    """Texts by name of the map, and what was left out."""
    if options.kind == "sunspec":
        from edge.importers.sunspec import import_sunspec

        text = import_sunspec(options.files, name=options.name, maker=options.maker, base=options.base, repeat=options.repeat)
        return {options.name: text}, ()
    if options.kind == "nodeset":
        from edge.importers.nodeset import import_nodeset

        return {options.name: import_nodeset(options.files, options.name)}, ()
    if options.kind == "csv":
        from edge.importers.csv_map import import_csv

        text = import_csv(options.files[0])
        return {_name(text): text}, ()
    from edge.importers.scl import import_scl

    imported, left_out = import_scl(options.files[0], ied=options.ied, strict=not options.lenient)
    return {one.name: one.text for one in imported}, left_out


def _foreign() -> tuple[type[Exception], ...]:
    """Errors of importers that were loaded; others cannot have been raised."""
    names = {"edge.importers.nodeset": "NodesetError", "protocols.iec61850.scl": "SclError"}
    return tuple(getattr(sys.modules[module], name) for module, name in names.items() if module in sys.modules)


def _name(text: str) -> str:
    import tomllib

    return str(tomllib.loads(text)["device_map"])


def _write(out: Path | None, made: Mapping[str, str]) -> int:
    for name, text in made.items():
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{name}.toml"
                path.write_text(text, encoding="utf-8")
                tags = len(load_device_map(path).tags)
        except ConfigError as error:
            print(f"{name}: what the source says makes no usable map: line {error.line}: {error.message}", file=sys.stderr)
            return 1
        if len(made) > 1 and out is not None:
            out.mkdir(parents=True, exist_ok=True)
        _put(out / f"{name}.toml" if out is not None and (len(made) > 1 or out.is_dir()) else out, f"{tags} tags", text)
    return 0 if made else 1


def _put(out: Path | None, said: str, text: str) -> None:
    if out is None:
        print(text, end="")
        return
    out.write_text(text, encoding="utf-8")
    print(f"{out}: {said}".rstrip(": "), file=sys.stderr)
