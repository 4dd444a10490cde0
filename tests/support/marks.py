"""Marks for tests that require a package, a system or a user."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="requires the /proc of Linux")
needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="requires root"
)


def requires(*packages: str) -> pytest.MarkDecorator:
    """Skip where one of these optional packages is not installed."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"requires {', '.join(missing)}")


RECORDING_NAMES = ["run.csv", pytest.param("run.parquet", marks=requires("pyarrow"))]
"""Names of recordings, one for each format."""
