"""Device map <-> CSV, so that a list can be worked on in a spreadsheet and come back without a difference.

The first lines "#key,value" carry what is no tag (device_map, maker, models, source, and the protocol's options as "modbus.max_gap");
then one line of column names and one line per tag. Columns that a tag does not use are empty. Texts (`[[texts]]`) have "text" as their type.
"""

import csv
import io
import json
import tomllib
from pathlib import Path
from typing import Any, Final

from edge.importers.draft import Draft, ImportFailed, Keys
from protocols.devicemap import PROTOCOLS

FIRST: Final = ("name", "at", "type", "unit", "scale", "offset", "every", "range", "vendor")
_HEAD: Final = ("device_map", "maker", "models", "source")


def export_csv(path: Path) -> str:
    """The map's file as CSV. Raises ImportFailed."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ImportFailed(f"{path}: {error}") from error
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    protocol = next(word for word in PROTOCOLS if word in document)
    rows = [dict(row) for row in document["tags"]] + [{**row, "type": "text"} for row in document.get("texts", ())]
    for key, value in document.items():
        if key not in ("tags", "texts", protocol):
            writer.writerow([f"#{key}", _cell(value)])
    for key, value in document[protocol].items():
        writer.writerow([f"#{protocol}.{key}", _cell(value)])
    if not document[protocol]:
        writer.writerow([f"#{protocol}.", ""])
    columns = [*FIRST, *sorted({key for row in rows for key in row} - set(FIRST))]
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[key]) if key in row else "" for key in columns])
    return out.getvalue()


def import_csv(path: Path) -> str:
    """The device map text of a CSV file. Raises ImportFailed with the line."""
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"))))
    except (OSError, ValueError, csv.Error) as error:
        raise ImportFailed(f"{path}: {error}") from error
    head: dict[str, Any] = {}
    options: dict[str, Any] = {}
    protocol = ""
    start = next((number for number, line in enumerate(lines) if not line or not line[0].startswith("#")), len(lines))
    for line in lines[:start]:
        key, dot, option = line[0][1:].partition(".")
        value = _parse(line[1] if len(line) > 1 else "")
        if dot and key in PROTOCOLS:
            protocol = key
            options |= {option: value} if option else {}
        else:
            head[key] = value
    if missing := [key for key in _HEAD[:3] if key not in head]:
        raise ImportFailed(
            f'{path}: expected lines "#device_map,...", "#maker,...", "#models,..." before the table, missing {", ".join(missing)}'
        )
    if not protocol:
        raise ImportFailed(f'{path}: expected a line with the protocol\'s options such as "#modbus.max_gap,8"')
    tags, texts = _rows(path, lines, start)
    more = {key: value for key, value in head.items() if key not in (*_HEAD, "caveats", "golden")}
    models = head["models"] if isinstance(head["models"], list) else [str(head["models"])]
    return Draft(
        str(head["device_map"]), str(head["maker"]), models, str(head.get("source", "")), protocol, options, tags, texts,
        head.get("caveats", ()), head.get("golden", ()), more=more,
    ).text()  # fmt: skip


def _rows(path: Path, lines: list[list[str]], start: int) -> tuple[list[Keys], list[Keys]]:
    columns = lines[start] if start < len(lines) else []
    if not {"name", "at", "type"} <= set(columns):
        raise ImportFailed(f"{path}:{start + 1}: expected the columns name, at, type (and more), found {', '.join(columns) or 'nothing'}")
    tags: list[Keys] = []
    texts: list[Keys] = []
    for number, line in enumerate(lines[start + 1 :], start + 2):
        if not any(line):
            continue
        if len(line) > len(columns):
            raise ImportFailed(f"{path}:{number}: expected at most {len(columns)} columns, found {len(line)}")
        row = {
            key: cell if key in ("name", "at", "type", "unit", "vendor") else _parse(cell)
            for key, cell in zip(columns, line, strict=False)
            if cell
        }
        if absent := [key for key in ("name", "at", "type") if key not in row]:
            raise ImportFailed(f'{path}:{number}: "{absent[0]}" is empty')
        if row["type"] == "text":
            texts.append({key: value for key, value in row.items() if key != "type"})
        else:
            tags.append(row)
    if not tags:
        raise ImportFailed(f"{path}: expected at least one tag below the column names")
    return tags, texts


def _cell(value: Any) -> str:
    return value if isinstance(value, str) and _parse(value) == value else json.dumps(value, ensure_ascii=False, default=str)


def _parse(cell: str) -> Any:
    """A number, list, table or truth value where the cell is one in JSON, else the text."""
    try:
        return json.loads(cell)
    except ValueError:
        return cell
