"""Other programs and other files of the kernel report the same values."""

from __future__ import annotations

import oracles
import pytest


@pytest.mark.parametrize("name", oracles.ORACLES)
def test_other_programs_report_the_same(name: str, all_kinds: int) -> None:
    try:
        found = oracles.compare(all_kinds, name)
    except oracles.Absent:
        pytest.skip(f"{name} is not available here")
    if found is None:
        pytest.skip("other processes changed its values each time")
    assert found == []
