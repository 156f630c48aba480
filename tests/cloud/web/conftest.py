"""One served hub per test process, one browser per test."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cloud.postgres import Cluster
from tests.cloud.web.browser import CHROMIUM, Site, Tab, served, tab_of

_numbers = itertools.count()


@pytest.fixture(scope="session")
def site(cluster: Cluster, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    name = f"web{next(_numbers)}"
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")  # type: ignore[arg-type]
    folder: Path = tmp_path_factory.mktemp("web")
    with served(cluster.url(name), folder) as made:
        made.open_desk()
        yield made


@pytest.fixture
def tab(site: Site) -> Iterator[Tab]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tab_of(playwright, site) as made:
        yield made
        assert made.faults == []
