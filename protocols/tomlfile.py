"""TOML into typed values, with errors that name file, line and key.

Used for device maps, gateway, hub and scenario files. Unknown keys are errors; a near miss is offered. No defaults live here:
the caller states them. Durations and sizes are strings with a unit ("5s", "64MB"), so that no number is read in a wrong unit.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

REQUIRED: Final[Any] = object()
Where = tuple[str | int, ...]

_DURATION_US: Final = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_SIZE: Final = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


class ConfigError(Exception):
    """The file says something that cannot be meant: what was expected, what was found, where."""

    def __init__(self, path: Path, line: int, message: str) -> None:
        super().__init__(f"{path}:{line}: {message}")
        self.path, self.line, self.message = path, line, message


def quoted(text: str) -> str:
    """A TOML basic string. JSON's is one, but for the character DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def nearest(word: str, known: Iterable[str]) -> str:
    """', did you mean "x"?' or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f', did you mean "{close[0]}"?' if close else ""


def parse_duration_us(text: str) -> int:
    """Microseconds of "250ms", "5s" or "1.5h". Raises ValueError."""
    return round(_with_unit(text, _DURATION_US))


def parse_size(text: str) -> int:
    """Bytes of "64MB" or "1GiB". Raises ValueError."""
    return round(_with_unit(text, _SIZE))


def _with_unit(text: str, units: Mapping[str, int]) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text)
    if not match or match[2] not in units:
        raise ValueError(f'expected a number with one of the units {", ".join(units)}, found "{text}"')
    return float(match[1]) * units[match[2]]


class TomlFile:
    """A parsed file that still knows its lines."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        try:
            self._root = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            line = int(match[1]) if (match := re.search(r"line (\d+)", str(error))) else text.count("\n") + 1
            raise ConfigError(path, line, f"not valid TOML: {error}") from error
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, or lists in lists in lists
            raise ConfigError(path, 1, f"not TOML that anybody means: {str(error)[:200]}") from error
        self._text = text
        self._lines: Mapping[Where, int] | None = None

    @classmethod
    def read(cls, path: Path) -> "TomlFile":
        try:
            return cls(path, path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(path, 0, f"cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise ConfigError(path, 0, "is not UTF-8 text") from error

    @property
    def root(self) -> "Section":
        return Section(self, self._root, ())

    def line(self, where: Where) -> int:
        """Lines are looked for when the first error asks for one: a map of a thousand tags starts the agent 70 ms sooner without."""
        if self._lines is None:
            self._lines = _Scanner(self._text).lines
        while where and where not in self._lines:
            where = where[:-1]
        return self._lines.get(where, 1)


class Section:
    """One table of the file. Read every key you know, then call `done`."""

    def __init__(self, file: TomlFile, table: Mapping[str, Any], where: Where) -> None:
        self._file, self._table, self._where = file, table, where
        self._known: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._table

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._table)

    @property
    def path(self) -> Path:
        return self._file.path

    def error(self, key: str | None, message: str) -> ConfigError:
        where = self._where if key is None else (*self._where, key)
        return ConfigError(self._file.path, self._file.line(where), message)

    def _value(self, key: str, kinds: tuple[type, ...], expected: str, default: Any) -> Any:
        self._known.add(key)
        if key not in self._table:
            if default is REQUIRED:
                place = ".".join(str(part) for part in self._where) or "the file"
                raise self.error(None, f'{place}: key "{key}" is missing, expected {expected}{self._misspelt(key)}')
            return default
        value = self._table[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise self.error(key, f'"{key}": expected {expected}, found {_kind(value)} {value!r}')
        return value

    def _misspelt(self, key: str) -> str:
        close = difflib.get_close_matches(key, [found for found in self._table if found not in self._known], n=1, cutoff=0.75)
        return f' (is "{close[0]}" a misspelling of it?)' if close else ""

    def text(self, key: str, default: Any = REQUIRED) -> str:
        value: str = self._value(key, (str,), "a text", default)
        return value

    def integer(self, key: str, default: Any = REQUIRED, *, low: int | None = None, high: int | None = None) -> int:
        value: int = self._value(key, (int,), "a whole number", default)
        if key in self._table and ((low is not None and value < low) or (high is not None and value > high)):
            raise self.error(key, f'"{key}": expected {_span(low, high)}, found {value}')
        return value

    def number(self, key: str, default: Any = REQUIRED) -> float:
        value: float = self._value(key, (int, float), "a number", default)
        return value

    def boolean(self, key: str, default: Any = REQUIRED) -> bool:
        value: bool = self._value(key, (bool,), "true or false", default)
        return value

    def duration_us(self, key: str, default: Any = REQUIRED) -> int:
        return self._measured(key, 'a duration such as "5s"', parse_duration_us, default)

    def size(self, key: str, default: Any = REQUIRED) -> int:
        return self._measured(key, 'a size such as "64MB"', parse_size, default)

    def _measured(self, key: str, expected: str, parse: Any, default: Any) -> int:
        text = self._value(key, (str,), expected, default if default is REQUIRED or isinstance(default, str) else str(default))
        try:
            value: int = parse(text)
        except ValueError as error:
            raise self.error(key, f'"{key}": {error}') from error
        return value

    def choice(self, key: str, options: Iterable[str], default: Any = REQUIRED) -> str:
        options = tuple(options)
        value = self.text(key, default)
        if key in self._table and value not in options:
            raise self.error(key, f'"{key}": expected one of {", ".join(options)}; found "{value}"{nearest(value, options)}')
        return value

    def numbers(self, key: str, default: Any = REQUIRED) -> tuple[float, ...]:
        values = self._value(key, (list,), "a list of numbers", default)
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
            raise self.error(key, f'"{key}": expected a list of numbers, found {values!r}')
        return tuple(values)

    def texts(self, key: str, default: Any = REQUIRED) -> tuple[str, ...]:
        values = self._value(key, (list,), "a list of texts", default)
        if not all(isinstance(value, str) for value in values):
            raise self.error(key, f'"{key}": expected a list of texts, found {values!r}')
        return tuple(values)

    def section(self, key: str, *, optional: bool = False) -> "Section":
        table = self._value(key, (dict,), "a table", {} if optional else REQUIRED)
        return Section(self._file, table, (*self._where, key))

    def sections(self, key: str, *, optional: bool = False) -> tuple["Section", ...]:
        tables = self._value(key, (list,), "a list of tables", [] if optional else REQUIRED)
        for index, table in enumerate(tables):
            if not isinstance(table, dict):
                raise ConfigError(
                    self.path, self._file.line((*self._where, key, index)), f'"{key}": expected tables, found {_kind(table)} {table!r}'
                )
        return tuple(Section(self._file, table, (*self._where, key, index)) for index, table in enumerate(tables))

    def raw(self, key: str, default: Any = REQUIRED) -> Any:
        """Whatever stands there, unchecked."""
        return self._value(key, (object,), "a value", default)

    def done(self) -> None:
        """Raise for the first key that nobody asked for."""
        for key in self._table:
            if key not in self._known:
                known = ", ".join(sorted(self._known))
                raise self.error(key, f'unknown key "{key}"{nearest(key, self._known)} Known here: {known}.')


def _kind(value: object) -> str:
    names = {bool: "the truth value", int: "the number", float: "the number", str: "the text", list: "the list", dict: "the table"}
    return names.get(type(value), "the value")


def _span(low: int | None, high: int | None) -> str:
    if low is not None and high is not None:
        return f"a whole number from {low} to {high}"
    return f"at least {low}" if low is not None else f"at most {high}"


class _Scanner:
    """Line of every key of a text that tomllib has already accepted."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._counted, self._number = 0, 1
        self.lines: dict[Where, int] = {}
        self._tables: dict[Where, int] = {}
        self._document()

    def _document(self) -> None:
        here: Where = ()
        while self._skip(" \t\r\n,"):
            if self._text.startswith("[", self._at):
                here = self._header()
            else:
                self._pair(here)

    def _header(self) -> Where:
        array = self._text.startswith("[[", self._at)
        line = self._line()
        self._at += 2 if array else 1
        path = self._resolve(self._key())
        if array:
            index = self._tables.get(path, -1) + 1
            self._tables[path] = index
            path = (*path, index)
        self._at = self._text.index("]", self._at) + (2 if array else 1)
        self.lines.setdefault(path, line)
        return path

    def _resolve(self, key: Where) -> Where:
        path: Where = ()
        for part in key[:-1]:
            path = (*path, part)
            if path in self._tables:
                path = (*path, self._tables[path])
        return (*path, key[-1])

    def _pair(self, here: Where) -> None:
        line = self._line()
        path = (*here, *self._key())
        self.lines.setdefault(path, line)
        self._at = self._text.index("=", self._at) + 1
        self._value(path)

    def _key(self) -> Where:
        parts: list[str] = []
        while self._skip(" \t") and self._text[self._at] not in "=]":
            if self._text[self._at] in "\"'":
                start = self._at
                self._string()
                parts.append(self._text[start + 1 : self._at - 1])
            elif match := re.compile(r"[A-Za-z0-9_-]+").match(self._text, self._at):
                parts.append(match[0])
                self._at = match.end()
            else:
                self._at += 1
        return tuple(parts)

    def _value(self, path: Where) -> None:
        self._skip(" \t")
        opener = self._text[self._at]
        if opener == "[":
            self._at += 1
            index = 0
            while self._skip(" \t\r\n,") and self._text[self._at] != "]":
                self.lines.setdefault((*path, index), self._line())
                self._value((*path, index))
                index += 1
            self._at += 1
        elif opener == "{":
            self._at += 1
            while self._skip(" \t\r\n,") and self._text[self._at] != "}":
                self._pair(path)
            self._at += 1
        elif opener in "\"'":
            self._string()
        else:
            match = re.compile(r"[^,\]}\n#]*").match(self._text, self._at)
            self._at = match.end() if match else self._at + 1

    def _string(self) -> None:
        quote = self._text[self._at]
        long = self._text.startswith(quote * 3, self._at)
        end = quote * 3 if long else quote
        self._at += len(end)
        while not self._text.startswith(end, self._at):
            self._at += 2 if self._text[self._at] == "\\" and quote == '"' else 1
        self._at += len(end)

    def _skip(self, blanks: str) -> bool:
        """Past blanks and comments; False at the end."""
        while self._at < len(self._text):
            if self._text[self._at] in blanks:
                self._at += 1
            elif self._text[self._at] == "#" and "\n" in blanks:
                self._at = end if (end := self._text.find("\n", self._at)) >= 0 else len(self._text)
            else:
                return True
        return False

    def _line(self) -> int:
        self._number += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._number
