"""Settings for all tests."""

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
"""The same examples at each run: what fails in CI is the change, and not the luck of that day. New
examples are found where people develop."""

if os.environ.get("CI") == "true":
    settings.load_profile("ci")
