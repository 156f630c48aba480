"""The hub's data folder as commands see it: who holds it, and how to reach the database while the hub runs and while it does not.

    with_database(options, work)     the running hub's database, or the embedded one, started for the moment

DATA/hub.json is what a running hub wrote about itself; DATA/lock is held by whoever has started the database, so that nobody stops it under another.
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from cloud.config import Limits
from cloud.db import Database, migrate
from cloud.identity import store
from cloud.postgres import Cluster

LOCK_WAIT_S: Final = 30.0
T = TypeVar("T")


class CommandError(Exception):
    """What a person has to change, in a sentence."""


async def find_tenant(db: Database, name: str) -> store.Tenant:
    tenant = await store.tenant_by_name(db, name)
    if tenant is None:
        raise CommandError(
            f'tenant "{name}" does not exist; the first start of the hub makes "default", `qenergyz hub tenant` makes others'
        )
    return tenant


def with_database(options: argparse.Namespace, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run(url: str) -> T:
        async with Database(url, Limits(connection_wait_s=10.0)) as db:
            return await work(db)

    data: Path = options.data
    if not data.is_dir():
        raise CommandError(f"{data} is not a data folder; start the hub once")
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        if state := running(data):
            return asyncio.run(run(state["database_url"]))
        with lock(data) as ours:
            if ours:
                cluster = None if options.database_url else Cluster(data.resolve() / "pg")
                try:
                    url = cluster.start() if cluster else str(options.database_url)
                    migrate(url)
                    return asyncio.run(run(url))
                finally:
                    if cluster:
                        cluster.stop()
        if time.monotonic() > deadline:
            raise CommandError("the hub is starting or ending, or another command is at work; try again")
        time.sleep(0.1)


def running(data: Path) -> dict[str, Any] | None:
    """What the running hub wrote about itself. A file left by a killed hub does not count, even where its process number was reused."""
    try:
        state: dict[str, Any] = json.loads((data / "hub.json").read_text())
        os.kill(state["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    with lock(data) as ours:
        return None if ours else state


@contextlib.contextmanager
def lock(data: Path) -> Iterator[bool]:
    """True while we hold the folder; False when somebody else does. Never waits."""
    with (data / "lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
