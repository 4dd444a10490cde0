"""Scripts of the documentation, as modules."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from support.paths import ROOT


def load_script(name: str) -> ModuleType:
    """Import docs/NAME.py, which is in no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
