"""Hypothesis profiles: a modest number of examples by default, HYPOTHESIS_PROFILE=deep for thousands."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

settings.register_profile("quick", max_examples=60, deadline=None, suppress_health_check=QUIET, derandomize=True)
settings.register_profile(
    "deep", max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "2000")), deadline=None, suppress_health_check=QUIET
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
