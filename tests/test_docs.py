"""What the documents say is true: their commands exist, their files load, their tables name every key, their links lead somewhere."""

import json
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge import config
from protocols.devicemap import SHIPPED, load_device_map
from protocols.tomlfile import REQUIRED, Section
from tests.firmware_configs.test_maps import decode_modbus

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(page for folder in (ROOT, *(ROOT / name for name in ("docs", "firmware_configs", "simulators", "benchmarks", "deploy")))
               for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md")))  # fmt: skip
GATEWAYS = sorted((ROOT / "firmware_configs" / "gateways").glob("*.toml"))
KEYS = (ROOT / "firmware_configs" / "README.md").read_text()


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands() -> Iterator[Any]:
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.splitlines():
                if words := shlex.split(line, comments=True):
                    yield pytest.param(words, id=f"{named(page)}: {' '.join(words)}")


def snippets(language: str) -> list[Any]:
    return [pytest.param(text, id=f"{named(page)} {number}") for page in PAGES for number, text in enumerate(blocks(page, language), 1)]


def qenergyz(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "qenergyz.py"), *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("words", list(commands()))
def test_command_in_a_document_exists_with_its_options(words: list[str]) -> None:
    match words[0].removeprefix(".venv/bin/"), *words[1:]:
        case "make", target, *rest:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            passed = [word.removeprefix("ARGS=") for word in rest]
            assert_options_known([target, *shlex.split(" ".join(passed))] if passed else [])
        case "qenergyz", *rest:
            assert_options_known(rest)
        case "python" | "python3", "-m", module, *rest:
            done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert all(word in done.stdout for word in rest if word.startswith("--"))
        case command, *_:
            pytest.fail(f"{command}: say here how it is checked")


def assert_options_known(arguments: list[str]) -> None:
    """The help of the command, and of its sub-command where there is one, names every option."""
    if not arguments:
        return
    depth = 3 if arguments[1:2] in (["import"], ["export"], ["rules"]) else 2 if arguments[0] in ("edge", "hub", "sim") else 1
    path = arguments[:depth]
    done = qenergyz(*path, "--help")
    assert done.returncode == 0, done.stderr
    options = [word.partition("=")[0] for word in arguments if word.startswith("--")]
    assert not [option for option in options if option not in done.stdout]


@pytest.mark.parametrize("text", snippets("toml"))
def test_toml_in_a_document_loads(text: str, tmp_path: Path) -> None:
    for example in blocks(ROOT / "firmware_configs" / "README.md", "toml"):
        if match := re.search(r'^device_map\s*=\s*"(\w+)"', example, re.MULTILINE):
            (tmp_path / f"{match[1]}.toml").write_text(example)
    if match := re.search(r'^device_map\s*=\s*"(\w+)"', text, re.MULTILINE):
        assert load_device_map(tmp_path / f"{match[1]}.toml").tags
        return
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    assert config.load(path).devices
    done = qenergyz("edge", "check", str(path))
    assert (done.returncode, "nothing wrong" in done.stdout) == (0, True), done.stderr


def test_example_map_decodes_its_golden_vector(tmp_path: Path) -> None:
    example = blocks(ROOT / "firmware_configs" / "README.md", "toml")[0]
    path = tmp_path / "example_em1.toml"
    path.write_text(example)
    the_map = load_device_map(path)
    (vector,) = the_map.golden
    found = decode_modbus(the_map, vector["raw"])
    assert {name: found[name] for name in vector["expect"]} == vector["expect"]
    assert set(vector["expect"]) == {tag.name for tag in the_map.tags}


@pytest.mark.parametrize("text", snippets("python"))
def test_python_in_a_document_runs(text: str, tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", GATEWAYS, ids=named)
def test_shipped_gateway_file_passes_the_check(path: Path) -> None:
    done = qenergyz("edge", "check", str(path))
    assert done.returncode == 0, done.stderr
    assert f"gateway {config.load(path).name}" in done.stdout


@pytest.mark.parametrize("path", GATEWAYS, ids=named)
def test_shipped_gateway_file_names_documentation_addresses_only(path: Path) -> None:
    """RFC 5737 and RFC 2606: nobody's machine is asked when somebody runs an example as it is."""
    loaded = config.load(path)
    assert all("192.0.2." in device.address or device.address.startswith("rtu:///dev/ttyUSB") for device in loaded.devices)
    assert ".example" in loaded.hub


def test_every_map_of_a_simulated_device_is_used_by_a_shipped_gateway_file() -> None:
    used = {device.map.name for path in GATEWAYS for device in config.load(path).devices}
    assert used >= {path.stem for path in SHIPPED.glob("qenergyz_*.toml")}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_document_names_no_path_of_somebodys_machine(page: Path) -> None:
    assert not re.findall(r"(?<![\w.])/(?:home|root|work|Users|mnt|tmp)/\S*", page.read_text())


def documented() -> dict[str, dict[str, str]]:
    """Heading -> key -> default, as the tables of firmware_configs/README.md have them."""
    found: dict[str, dict[str, str]] = {}
    for part in KEYS.split("\n### ")[1:]:
        rows = re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*) \|", part, re.MULTILINE)
        found[part.partition("\n")[0].replace("`", "")] = dict(rows)
    return found


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Table -> key -> default, as the loaders ask while they read every shipped file."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    value = Section._value

    def note(section: Section, key: str, kinds: Any, expected: str, default: Any) -> Any:
        place = ".".join(part for part in section._where if isinstance(part, str))
        found[f"{section.path.parent.name}:{place}"][key] = default
        return value(section, key, kinds, expected, default)

    def look(section: Section, key: str) -> bool:
        place = ".".join(part for part in section._where if isinstance(part, str))
        found[f"{section.path.parent.name}:{place}"].setdefault(key, None)
        return contains(section, key)

    contains = Section.__contains__
    monkeypatch.setattr(Section, "_value", note)
    monkeypatch.setattr(Section, "__contains__", look)
    for path in GATEWAYS:
        config.load(path)
    return found


TABLES = {
    "Map: top level": "devices:",
    "Map: tags": "devices:tags",
    "Map: [modbus]": "devices:modbus",
    "Map: [opcua]": "devices:opcua",
    "Map: [mqtt]": "devices:mqtt",
    "Map: [iec61850]": "devices:iec61850",
    "Gateway file: [gateway]": "gateways:gateway",
    "Gateway file: [buffer]": "gateways:buffer",
    "Gateway file: [health]": "gateways:health",
    "Gateway file: [hub]": "gateways:hub",
    "Gateway file: [[device]]": "gateways:device",
}
OF_PROTOCOLS = {"modbus", "opcua", "mqtt", "iec61850"}


@pytest.mark.parametrize(("heading", "place"), TABLES.items(), ids=TABLES)
def test_table_names_every_key_with_its_default(asked: dict[str, dict[str, Any]], heading: str, place: str) -> None:
    expected = {key: default for key, default in asked[place].items() if place != "devices:" or key not in OF_PROTOCOLS}
    expected.pop("buffer", None)
    assert {key: written(key, default) for key, default in expected.items()} == documented()[heading]


def written(key: str, default: Any) -> str:
    if default is REQUIRED:
        return "required"
    if default in ("", None) or default in ([], {}):
        return "none"
    if key == "data":
        return "NAME-data"
    return f"`{json.dumps(default)}`"
