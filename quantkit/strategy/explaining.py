"""Why a rule does not compile."""

from __future__ import annotations

from typing import Any

from quantkit.errors import ConfigError


def explained(error: Any, cls: type, _function: Any) -> ConfigError:
    """What a person can act on."""
    return ConfigError(f"{cls.__name__}: {error}")
