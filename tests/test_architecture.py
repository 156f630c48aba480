"""The house rules that a linter cannot see: who imports whom, what a program loads, what a module says of itself."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("protocols", "edge", "cloud", "simulators")


def modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))
    yield ROOT / "qenergyz.py"


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return {name.split(".")[0] for name in output.split()}


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_says_what_it_is_for(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{path} has no module docstring"


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_not_longer_than_600_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 600


@pytest.mark.parametrize("package", PACKAGES)
def test_programs_meet_only_in_protocols(package: str) -> None:
    allowed = {"protocols", package}
    if package == "protocols":
        allowed = {"protocols"}
    for path in (ROOT / package).rglob("*.py"):
        others = {name.split(".")[0] for name in imports_of(path)} & set(PACKAGES)
        assert others <= allowed, f"{path} imports {others - allowed}"


def test_verify_loads_neither_network_nor_programs() -> None:
    loaded = loaded_after("import protocols.batch.verify")
    assert not loaded & {"edge", "cloud", "simulators", "httpx", "fastapi", "psycopg", "pymodbus", "asyncua", "paho", "requests"}


def test_agent_loads_no_web_framework_and_no_protocol_it_does_not_use() -> None:
    loaded = loaded_after("import edge.agent, edge.cli")
    assert not loaded & {"fastapi", "starlette", "uvicorn", "psycopg", "pymodbus", "asyncua", "paho", "pyiec61850", "pydantic"}


def test_hub_loads_no_field_library() -> None:
    loaded = loaded_after("import cloud.app, cloud.cli")
    assert not loaded & {"pymodbus", "asyncua", "paho", "pyiec61850", "edge", "simulators"}


def test_sources_import_no_clock_of_their_own_in_rules() -> None:
    for path in (ROOT / "protocols" / "batch").glob("*.py"):
        assert not imports_of(path) & {"time", "datetime"}, f"{path} reads a clock"
