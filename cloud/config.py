"""What a hub needs to know before it starts, and every limit with its unit. Values only: nothing is read from the environment."""

from dataclasses import dataclass, field
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds unless the name says otherwise."""

    body_bytes: int = 32 * MIB
    statement_bytes: int = 4 * MIB
    statements: int = 64
    tag_table_bytes: int = 8 * MIB
    small_body_bytes: int = 64 * KIB
    document_bytes: int = 8 * MIB  # quotes, deals, calendars
    receipt_wait_s: float = 2.0
    integrate_interval_s: float = 0.025  # pause between two integrations of one log, so that entries gather
    sweep_interval_s: float = 2.0  # how often every log is looked at for entries nobody announced
    key_validity_s: float = 30.0  # how long a looked-up key may be trusted: bounds the delay of a revocation
    known_keys: int = 4096
    known_tag_tables: int = 1024
    batches_per_second: float = 500.0  # per gateway
    batches_burst: float = 4000.0
    token_bytes: int = 16 * KIB  # a request counts for its batches, or for so many bytes each
    strangers_per_second: float = 20.0  # requests per address under keys that were not yet proven from there
    strangers_burst: float = 100.0
    requests_in_line: int = 32  # per gateway; they are verified one after the other
    bodies_per_address: int = 64  # on their way at the same time
    body_s: float = 60.0  # for a whole request body to arrive
    push_back_s: float = 1.0  # pause before the answer that somebody sends too much
    connections: int = 16
    connection_wait_s: float = 2.0
    retry_after_s: int = 2
    session_s: float = 16 * 3600.0  # a working day and its margins; then a person signs in again
    session_idle_s: float = 3600.0
    sign_ins_per_minute: float = 30.0  # per peer address, before a password is looked at
    sign_ins_burst: float = 60.0
    requests_per_minute: float = 6_000.0  # of one person or token, over all their sessions
    requests_burst: float = 1_000.0
    judge_interval_s: float = 60.0  # between two runs of all rules of a tenant that the hub makes by itself


@dataclass(frozen=True, slots=True)
class Tls:
    """certificate, key: of the hub (PEM). client_authorities: whose certificates gateways may show; empty = none is asked for.

    issue: the hub's own authority is one of them, and issues certificates to enrolled gateways.
    """

    certificate: Path
    key: Path
    client_authorities: tuple[Path, ...] = ()
    issue: bool = False

    @property
    def asks(self) -> bool:
        return self.issue or bool(self.client_authorities)


@dataclass(frozen=True, slots=True)
class HubConfig:
    """name: becomes the first part of every log origin, and cannot change once tenants exist. database_url: None = embedded.

    origin: where people's pages come from, such as https://hub.example.com, when a proxy stands before the hub; None: as each request says.
    """

    data: Path
    name: str = "hub.localhost"
    host: str = "127.0.0.1"
    port: int = 8400
    database_url: str | None = None
    tls: Tls | None = None
    origin: str | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def keys(self) -> Path:
        return self.data / "keys"

    @property
    def state_file(self) -> Path:
        return self.data / "hub.json"
