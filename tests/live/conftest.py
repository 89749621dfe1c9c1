"""A real PostgreSQL server for the tests of live trading, once a session."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.live.postgres import own_server

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a database of its own on a server of its own."""
    with ExitStack() as stack:
        try:
            url = stack.enter_context(own_server())
        except Exception as problem:  # noqa: BLE001  # no such package for this platform, or no right to start a server
            pytest.skip(f"no PostgreSQL server can be started here: {type(problem).__name__}: {problem}")
        yield url


@pytest.fixture
def new_database(postgres: str) -> Iterator[Callable[[], str]]:
    """Makes an empty database on the server and gives its URL; it goes when the test ends."""
    import psycopg

    made: list[str] = []

    def make() -> str:
        name = f"d{os.getpid()}_{next(_NUMBERS)}"
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        made.append(name)
        return postgres.replace("/postgres?", f"/{name}?")

    yield make
    with psycopg.connect(postgres, autocommit=True) as connection:
        for name in made:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
