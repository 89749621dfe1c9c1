"""Every error quantkit raises, by what the caller should do next.

    QuantkitError
    ├── RetryLater       safe to repeat (idempotent reads only)
    ├── Refused          a broker or a rule said no; carries a code
    ├── OutcomeUnknown   sent, no answer: ask, never resend
    ├── BadData          the input is wrong; the message says which value, where, and what would be right
    ├── ConfigError      a setting or an argument is wrong; the message says which one
    └── Bug              a state that should be impossible: keep the input and report it

Messages say what was found, where it came from and what was expected. They never carry a secret.
"""

from __future__ import annotations


class QuantkitError(Exception):
    """Base of every error that quantkit raises on purpose."""


class RetryLater(QuantkitError):
    """A read failed for a passing reason; repeating it is safe."""


class Refused(QuantkitError):
    """A broker or a rule refused; `code` is stable and machine-readable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class OutcomeUnknown(QuantkitError):
    """A request left and no answer came back: ask for its outcome, never send it again."""


class BadData(QuantkitError):
    """The data given is wrong; nothing was stored or changed."""


class ConfigError(QuantkitError):
    """A setting, argument or parameter is wrong; the command line exits with 2."""


class Bug(QuantkitError):
    """An impossible state; keep the input that led here and report it."""
