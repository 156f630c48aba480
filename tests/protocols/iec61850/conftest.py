"""Closes what a test has opened, last first."""

import pytest


@pytest.fixture
async def closing():
    opened = []
    yield opened.append
    for thing in reversed(opened):
        await (thing.stop() if hasattr(thing, "stop") else thing.close())
