"""The same tests on every broker."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.protocols.mqtt.brokers import SERVED, Served, serving


@pytest.fixture(params=SERVED)
async def served(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Served]:
    kind, version = request.param
    async with serving(kind, version, tmp_path) as running:
        yield running
