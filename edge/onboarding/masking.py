"""What must not be shown: credentials in addresses, values of keys that hold secrets, and the contents of the files that hold them.

Secrets are to stand in files that the configuration names; this also covers those that somebody wrote where they do not belong. Pure but for
`of_gateway`, which reads them.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

MASK: Final = "***"
SHORTEST: Final = 4  # what is shorter occurs by chance
_WORDS: Final = r"(?:pass(?:word|wd|phrase|code)?|secrets?|tokens?|vouchers?|credentials?|api_?keys?|private_?keys?|pin|pwd|auth(?:orization)?|cookies?)"
_KEY: Final = re.compile(rf"(?:^|[_-]){_WORDS}(?:$|[_-])", re.IGNORECASE)
_IN_ADDRESS: Final = re.compile(r"(?<=://)[^/@\s\"']+(?=@)")
_ASSIGNED: Final = re.compile(rf"(?i)(\b[\w-]*{_WORDS}[\"']?\s*[=:]\s*)(\"[^\"]*\"?|'[^']*'?|bearer\s+\S+|basic\s+\S+|[^\s,;]+)")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_PEM: Final = re.compile(r"-----BEGIN [^-]*PRIVATE KEY-----.*?(?:-----END [^-]*-----|\Z)", re.DOTALL)
_FILES: Final = ("password_file", "key_file", "user_key", "client_key", "key")


class Masker:
    """`learn` secrets, then `masked` texts."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: set[str] = set()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        self._secrets |= {secret for secret in secrets if len(secret) >= SHORTEST}

    def masked(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return _IN_ADDRESS.sub(MASK, text)

    def masked_log(self, text: str) -> str:
        """Stricter, for texts of other programs: also whatever is said to be a password."""
        text = _PEM.sub(MASK, self.masked(text))
        return _BEARER.sub(lambda found: f"{found[1]} {MASK}", _ASSIGNED.sub(lambda found: found[1] + MASK, text))

    def masked_json(self, document: Any) -> Any:
        match document:
            case str():
                return self.masked(document)
            case Mapping():
                return {key: self.masked_json(value) for key, value in document.items()}
            case list() | tuple():
                return [self.masked_json(value) for value in document]
            case _:
                return document


def is_secret(key: str) -> bool:
    """Whether a key of a configuration holds a secret itself, rather than the path of a file that does."""
    return bool(_KEY.search(key)) and not key.endswith(("_file", "_at"))


def of_gateway(path: Path) -> Iterator[str]:
    """The secrets of a gateway file, as far as it can be read: those in it, and those in the files that it names."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    for found in _IN_ADDRESS.findall(text):
        yield from (found, found.partition(":")[2])
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        for _, value in _ASSIGNED.findall(text):
            yield value.strip("\"'")
        return
    yield from _of_table(document, path.parent)


def _of_table(table: Mapping[str, Any], folder: Path) -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _of_table(value, folder)
        elif isinstance(value, list):
            for one in value:
                yield from _of_table(one if isinstance(one, Mapping) else {key: one}, folder)
        elif key in _FILES and isinstance(value, str):
            yield from _referred(value, folder)
        elif is_secret(key):
            yield str(value)


def _referred(value: str, folder: Path) -> Iterator[str]:
    """By a path, `env:NAME` or `credential:NAME`, as in `protocols.secret`."""
    source, _, name = value.partition(":")
    if source == "env":
        yield os.environ.get(name, "")
    elif source == "credential":
        yield from _of_file(Path(os.environ.get("CREDENTIALS_DIRECTORY", "/")) / name)
    else:
        yield from _of_file(folder / value)


def _of_file(path: Path) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return
    yield text.strip()
    yield from (line.strip() for line in text.splitlines() if not line.startswith("-----"))
