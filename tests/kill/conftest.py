"""The PostgreSQL server of the tests of live trading."""

from tests.live.conftest import postgres

__all__ = ["postgres"]
