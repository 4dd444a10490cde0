"""The captures of runtimes, and what their index reports about them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from fixtures.capture_runtimes import RUNTIMES as RUNTIMES_TO_CAPTURE
from support.paths import RUNTIMES

import smapskit

_INDEX = json.loads((RUNTIMES / "index.json").read_text())
_CAPTURES: dict[str, Any] = _INDEX["captures"]
_NEUTRAL = re.compile(
    r"/(usr|opt|dev|tmp/runtime|tmp/hsperfdata_\w+|var/cache|SYSV\w|memfd:)|\[|anon"
)


@pytest.fixture(params=_CAPTURES)
def name(request: pytest.FixtureRequest) -> str:
    """The name of a capture."""
    return str(request.param)


def _load(name: str) -> smapskit.Snapshot:
    return smapskit.load(RUNTIMES / f"{name}.smaps.gz")


def test_the_index_describes_every_capture() -> None:
    files = {file.name.removesuffix(".smaps.gz") for file in RUNTIMES.glob("*.smaps.gz")}
    assert files == set(_CAPTURES) == set(RUNTIMES_TO_CAPTURE)


def test_a_capture_is_complete(name: str) -> None:
    snapshot = _load(name)
    assert not snapshot.notes
    assert any(mapping.pathname == "[stack]" for mapping in snapshot)
    rss = snapshot.totals().rss
    assert rss is not None
    assert rss > 10_000


def test_addresses_that_the_program_printed_are_resident(name: str) -> None:
    snapshot = _load(name)
    for addresses in _CAPTURES[name]["known"].values():
        for address in addresses:
            mapping = _mapping_at(snapshot, address)
            assert mapping.rss
            assert mapping.perms.read


def test_stack_pointers_are_in_writable_private_mappings(name: str) -> None:
    snapshot = _load(name)
    pointers = _CAPTURES[name]["stack_pointers"]
    assert 0 < len(pointers) <= _CAPTURES[name]["threads"]
    for pointer in pointers:
        assert str(_mapping_at(snapshot, pointer).perms) in {"rw-p", "rwxp"}


def test_a_capture_has_no_paths_of_the_machine(name: str) -> None:
    for mapping in _load(name):
        assert not mapping.pathname or _NEUTRAL.match(mapping.pathname), mapping.pathname


def _mapping_at(snapshot: smapskit.Snapshot, address: str) -> smapskit.Mapping:
    at = int(address, 16)
    (mapping,) = (mapping for mapping in snapshot if mapping.start <= at < mapping.end)
    return mapping
