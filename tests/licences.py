"""`python -m tests.licences [--sbom FILE]`: the licence of every dependency, judged; or a bill of materials as CycloneDX 1.6.

Reads what the installed packages say of themselves, follows requirements from the extras of pyproject.toml, and judges per extra.
Packages whose metadata say nothing are unknown. Exit: 1 when a licence is refused or unknown.
"""

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).resolve().parent.parent
DEFAULT: Final = ("", "edge", "hub", "sim", "learn", "otel")  # "": what everybody installs
COPYLEFT_EXTRA: Final = "iec61850"


class Judgement(StrEnum):
    PERMISSIVE = "permissive"
    FILE_COPYLEFT = "copyleft of its own files only"
    LIBRARY = "LGPL: used as a library"
    COPYLEFT = "copyleft"
    UNKNOWN = "unknown"


# Judged: imported unchanged as a separate library that the user can replace (LGPL-3.0, section 4), never copied into our files.
LGPL_JUDGED: Final = {
    "asyncua": "LGPL-3.0-or-later: the OPC UA driver imports it; installed separately and replaceable",
    "psycopg": "LGPL-3.0-only: the hub imports it; installed separately and replaceable",
    "psycopg-binary": "LGPL-3.0-only: as psycopg",
    "psycopg-pool": "LGPL-3.0-only: as psycopg",
}
# Judged: copyleft, and for that reason only in its own extra.
GPL_JUDGED: Final = {"pyiec61850-ng": "GPL-3.0: binding of libiec61850; only with the extra iec61850, loaded only by its driver"}

_COPYLEFT: Final = re.compile(r"\b(A?GPL|SSPL|EUPL|OSL|CC-BY-SA)|GNU (Affero )?General Public", re.IGNORECASE)
_LIBRARY: Final = re.compile(r"\bLGPL|GNU Lesser General", re.IGNORECASE)
_FILES: Final = re.compile(r"\bMPL|Mozilla Public|\bEPL|Eclipse Public|\bCDDL", re.IGNORECASE)
_PERMISSIVE: Final = re.compile(
    r"\b(MIT|BSD|0BSD|ISC|Apache|PSF|Python Software|Zlib|CC0|Unlicense|HPND|BSL-1\.0|Copyright \(c\) .*(Enthought|Yubico))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Package:
    name: str
    version: str
    licence: str
    requires: tuple[str, ...]


def judged(licence: str) -> Judgement:
    """Of an SPDX expression: of a choice (OR) the best counts, of parts together (AND) the worst; else by the words."""
    text = licence.strip()
    if text.startswith("(") and _closes(text) == len(text) - 1:
        return judged(text[1:-1])
    ranks = list(Judgement)
    for word, pick in ((" OR ", min), (" AND ", max)):  # AND binds tighter than OR
        parts = _split(text, word)
        if len(parts) > 1:
            return ranks[pick(ranks.index(judged(part)) for part in parts)]
    if _LIBRARY.search(text):
        return Judgement.LIBRARY
    for pattern, verdict in ((_COPYLEFT, Judgement.COPYLEFT), (_FILES, Judgement.FILE_COPYLEFT), (_PERMISSIVE, Judgement.PERMISSIVE)):
        if pattern.search(text):
            return verdict
    return Judgement.UNKNOWN


def _closes(text: str) -> int:
    """Where the first parenthesis is closed."""
    depth = 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return index
    return -1


def _split(text: str, word: str) -> list[str]:
    """At the word, outside of parentheses."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and text.startswith(word, index):
            parts.append(text[start:index])
            start = index + len(word)
    return [*parts, text[start:]]


def installed() -> dict[str, Package]:
    found = {}
    for each in metadata.distributions():
        name = canonicalize_name(each.metadata["Name"])
        found[name] = Package(name, each.version, licence_of(each.metadata), tuple(each.requires or ()))
    return found


def licence_of(said: Any) -> str:
    """Expression, else classifiers, else the first line of the free text."""
    if said.get("License-Expression"):
        return str(said["License-Expression"])
    classifiers = [line.rpartition("::")[2].strip() for line in said.get_all("Classifier") or [] if line.startswith("License ::")]
    named = [line for line in classifiers if line not in ("OSI Approved", "DFSG approved")]
    if named:
        return " AND ".join(named)
    free = (said.get("License") or "").strip().partition("\n")[0]
    return "" if free == "UNKNOWN" else free


def closure(wanted: Iterable[str], packages: Mapping[str, Package]) -> set[str]:
    """What these requirements bring, as far as it is installed here."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in wanted]
    asked: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if name not in packages or (name, extra) in asked:
                continue
            asked.add((name, extra))
            found.add(name)
            parsed = [Requirement(text) for text in packages[name].requires]
            waiting += [one for one in parsed if one.marker is None or one.marker.evaluate({"extra": extra})]
    return found


def wanted_by(extra: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts: list[str] = project["dependencies"] if not extra else project["optional-dependencies"][extra]
    return texts


def refused(names: Iterable[str], packages: Mapping[str, Package]) -> list[str]:
    """Sentences on what may not be in an install that everybody gets."""
    found = []
    for name in sorted(names):
        package = packages[name]
        verdict = judged(package.licence)
        if verdict is Judgement.COPYLEFT:
            found.append(f"{name} {package.version} is {package.licence}: copyleft in the default install")
        elif verdict is Judgement.UNKNOWN:
            found.append(f"{name} {package.version} says {package.licence or 'nothing'}: judge it in tests/licences.py")
        elif verdict is Judgement.LIBRARY and name not in LGPL_JUDGED:
            found.append(f"{name} {package.version} is {package.licence}: judge it in LGPL_JUDGED")
    return found


def bill(packages: Mapping[str, Package]) -> dict[str, Any]:
    """CycloneDX 1.6. No time and no random number: the same install gives the same bytes."""
    components = [
        {"type": "library", "bom-ref": f"{one.name}@{one.version}", "name": one.name, "version": one.version,
         "licenses": [{"license": {"name": one.licence or "not said"}}]}
        for one in sorted(packages.values(), key=lambda one: one.name)
        if one.name != "qenergyz"
    ]  # fmt: skip
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    subject = {"type": "application", "bom-ref": "qenergyz", "name": "qenergyz", "version": version}
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": subject}, "components": components}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.licences", description=__doc__.splitlines()[0])
    parser.add_argument("--sbom", type=Path, help="write the bill of materials there")
    arguments = parser.parse_args(argv)
    packages = installed()
    brought = {extra: closure(wanted_by(extra), packages) for extra in (*DEFAULT, COPYLEFT_EXTRA)}
    product = {name: packages[name] for name in set().union(*brought.values())}
    if arguments.sbom is not None:
        arguments.sbom.write_text(json.dumps(bill(product), indent=2) + "\n")
    for name, package in sorted(product.items()):
        extras = ", ".join(extra or "always" for extra, names in brought.items() if name in names)
        print(f"{name} {package.version} | {package.licence[:80]} | {judged(package.licence)} | {extras}")
    faults = refused(set().union(*(brought[extra] for extra in DEFAULT)), packages)
    print("\n".join(faults) or "no copyleft in the default install")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
