"""Secrets by reference: a configuration says where a secret is, never what it is.

A reference is the path of a file (relative to the file that names it), `env:NAME` for an environment variable, or `credential:NAME` for a
credential that systemd hands to the service (LoadCredential=, in the folder that CREDENTIALS_DIRECTORY names). It is read when it is
needed, so that a new session finds a new secret. Errors name the reference and never hold the secret.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from protocols.tomlfile import Section


class SecretMissing(OSError):
    """The message names the reference, the cause and what to do."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that is no plain file. source: "env" or "credential"; name: its name there."""

    source: str
    name: str

    def __str__(self) -> str:
        return f"{self.source}:{self.name}"

    def read_text(self, encoding: str = "utf-8") -> str:
        """As of a Path. Raises SecretMissing."""
        if self.source == "env":
            found = os.environ.get(self.name)
            if not found:
                raise SecretMissing(f"{self}: the environment variable is not set for the agent")
            return found
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise SecretMissing(
                f"{self}: CREDENTIALS_DIRECTORY is not set; start the agent by systemd, with LoadCredential={self.name}:..."
            )
        return (Path(folder) / self.name).read_text(encoding)


def read_secret(reference: Path | Secret) -> str:
    """The text without the line end that editors leave. Raises SecretMissing."""
    try:
        found = reference.read_text("utf-8").rstrip("\r\n")
    except SecretMissing:
        raise
    except OSError as error:
        raise SecretMissing(f"{reference} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SecretMissing(f"{reference}: expected text in UTF-8") from None  # the error itself would hold the bytes
    if not found:
        raise SecretMissing(f"{reference} is empty")
    return found


def parse_secret(section: Section, key: str) -> Path | Secret | None:
    """What stands under `key`, None when nothing does. Raises ConfigError."""
    text = section.text(key, "")
    source, colon, name = text.partition(":")
    if not text:
        return None
    if not colon or source not in ("env", "credential"):
        return section.path.parent / text
    if not name or "/" in name or "=" in name or name in (".", ".."):
        raise section.error(key, f'"{key}": expected a name after "{source}:"')
    return Secret(source, name)
