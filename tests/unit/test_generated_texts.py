"""Generated texts: parsed and written they are the same, and only ParseError is raised."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import strategies
from support.paths import FIXTURES
from support.readers import parse_lines, parse_uniform

import smapskit
from smapskit import ParseError, Snapshot
from smapskit.model.mapping import COUNTERS

SEEDS = [
    file.read_bytes()[:6000]
    for folder in ("all_mapping_kinds", "sleep")
    for file in sorted((FIXTURES / folder).glob("*.txt"))
]
RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@RELAXED
@given(strategies.smaps())
def test_parse_and_format_is_the_identity(text: bytes) -> None:
    snapshot = smapskit.parse_smaps(text)
    assert smapskit.format_smaps(snapshot).encode("utf-8", "surrogateescape") == text
    assert smapskit.parse_smaps(text.decode("utf-8", "surrogateescape")) == snapshot


@RELAXED
@given(strategies.smaps(uniform=True))
def test_the_uniform_parser_reads_uniform_texts_as_the_line_parser_does(text: bytes) -> None:
    found = parse_uniform(text)
    expected = parse_lines(text)
    if found is not None:
        assert found == expected
    else:
        # Only for numbers that are wider than their column, inodes of too many digits, and
        # flags that are not at the end.
        last = text.splitlines()[-1] if text else b""
        assert (
            not expected
            or (b"VmFlags" in text and b"VmFlags" not in last)
            or any(len(word) > 7 for word in text.replace(b"-", b" ").split() if word.isdigit())
        )


@RELAXED
@given(st.data())
def test_the_uniform_parser_never_reads_other_values(data: st.DataObject) -> None:
    text = data.draw(strategies.mutated(data.draw(strategies.smaps())))
    found = parse_uniform(text)
    if found is not None:
        assert found == parse_lines(text)


@RELAXED
@given(strategies.smaps(), strategies.smaps())
@pytest.mark.slow
def test_totals_of_a_concatenation_are_the_sum(one: bytes, other: bytes) -> None:
    parts = [smapskit.parse_smaps(text) for text in (one, other)]
    whole = smapskit.totals([*parts[0], *parts[1]])
    for name in COUNTERS:
        known = [f for f in (getattr(part.totals(), name) for part in parts) if f is not None]
        assert getattr(whole, name) == (sum(known) if known else None)


@RELAXED
@given(strategies.smaps())
def test_a_stream_has_the_records_of_the_text(text: bytes) -> None:
    assert tuple(smapskit.iter_mappings(io.BytesIO(text))) == smapskit.parse_smaps(text).mappings


READERS: list[Callable[[bytes], object]] = [
    smapskit.parse_smaps,
    smapskit.parse_maps,
    smapskit.parse_rollup,
    smapskit.parse_pmap,
    lambda text: smapskit.parse_smaps(text, strict=False),
    lambda text: smapskit.parse_pmap(text, strict=False),
    lambda text: smapskit.load(io.BytesIO(text)),
    lambda text: list(smapskit.iter_mappings(io.BytesIO(text))),
]


@settings(RELAXED, max_examples=300)
@given(st.data())
@pytest.mark.slow
def test_any_bytes_are_parsed_or_raise_a_parse_error(data: st.DataObject) -> None:
    seed = data.draw(st.one_of(st.sampled_from(SEEDS), strategies.smaps(), st.binary()))
    text = data.draw(strategies.mutated(seed))
    for read in READERS:
        try:
            found = read(text)
        except ParseError as error:
            assert error.message
            assert str(error).isprintable()
        else:
            if isinstance(found, Snapshot):
                for layout in ("short", "extended", "device", "X", "XX"):
                    table = smapskit.format_pmap(found, layout)
                    assert table.replace("\n", "").isprintable() or not table.isascii()
                    assert "\x1b" not in table
                repr(found), found.check(), found.group_by("backing"), found.totals()


@RELAXED
@given(strategies.smaps(uniform=True), st.sampled_from(["short", "extended", "device", "X", "XX"]))
def test_a_printed_table_is_parsed_again(text: bytes, layout: str) -> None:
    snapshot = smapskit.parse_smaps(text)
    table = smapskit.format_pmap(snapshot, layout)
    if snapshot and len({m.start for m in snapshot}) == len(snapshot):
        try:
            again = smapskit.parse_pmap(table)
        except ParseError:
            return  # numbers wider than any memory
        assert [m.start for m in again] == [m.start for m in snapshot]
        assert [m.perms for m in again] == [m.perms for m in snapshot]


HEADER = b"55f3e745d000-55f3e74b5000 r--p 00000000 fe:00 260386"
MANY = 300_000
# Texts that would take hours if the time grew faster than the length.
HOSTILE = {
    "headers alone": (HEADER + b"\n") * 50_000,
    "a long name": HEADER + b" " + b"x" * MANY + b"\nRss: 1 kB\n",
    "blanks behind a header": HEADER + b" " * MANY,
    "blanks alone": b" " * MANY,
    "a rule": b"-" * MANY,
    "a broken rule": b"- " * MANY + b"x",
    "unknown fields": HEADER + b"\n" + b"".join(b"F%d: 1 kB\n" % n for n in range(10_000)),
    "a total": b"00400000 4K r---- x\ntotal" + b" 1" * MANY + b" x\n",
    "flags": HEADER + b"\nSize: 4 kB\nVmFlags: " + b"rd " * MANY + b"\n",
    "pids": b"1: " * MANY,
    "figures": b"55f3e745d000 r--p 00000000 fe:00 1" + b" 4" * 100_000 + b" x\n",
    "quote marks": b"> " * MANY + b"\n" + b"> " * 100,
    "newlines": b"\n" * MANY,
    "lines of a record": HEADER + b"\nSize: 4 kB\n" + (HEADER + b"\n" + b"A\n" * MANY),
    "words like flags": b"55f3e745d000 r--p 00000000 fe:00 1 4 4" + b" rd" * MANY + b"x\n",
    "dashes of two kinds": b"\xe2\x80\x93-" * MANY + b"x\n",
    "digits": HEADER + b"\nRss: " + b"9" * MANY + b" kB\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_parsed_in_linear_time(text: bytes) -> None:
    for read in (*READERS, smapskit.parse_frame):
        with contextlib.suppress(ParseError):
            read(text)
