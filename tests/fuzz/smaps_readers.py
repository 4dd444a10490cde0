"""
Compare every reader of smaps text with a reference parser.

    python tests/fuzz/smaps_readers.py [--cases N] [--seed S]

The reference parser below is simple, slow, and shares no code with smapskit. Each case is a
text: records of all kernels, wide values, unknown fields and units, hostile names, CR, several
processes, then damage. Each reader has to return the records, notes and sums of the reference,
or reject what the reference rejects. A difference is printed with the text that causes it; the
exit status is then 1. Case C of seed S is the same text in every run.
"""

from __future__ import annotations

import argparse
import io
import random
import re
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from support import kernel_texts
from support.paths import PROCESSES
from support.readers import uniform_parser

import smapskit
from smapskit import Note
from smapskit.formats.smaps import pasted, reader
from smapskit.formats.smaps.chunks import split_between_records
from smapskit.formats.smaps.files import ROLLUP, SMAPS, ProcFile
from smapskit.formats.smaps.parse import parse_columns_all, read_snapshot
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.formats.smaps.scan import FieldScanner
from smapskit.formats.smaps.uniform import Template
from smapskit.model.totals import Totals, group_columns
from smapskit.views import frames

SMAPS_FILES = [folder / "smaps.txt" for folder in PROCESSES]

# ---- the reference ---------------------------------------------------------------------------

KB = {
    "Size": "size",
    "KernelPageSize": "kernel_page_size",
    "MMUPageSize": "mmu_page_size",
    "Rss": "rss",
    "Pss": "pss",
    "Pss_Dirty": "pss_dirty",
    "Shared_Clean": "shared_clean",
    "Shared_Dirty": "shared_dirty",
    "Private_Clean": "private_clean",
    "Private_Dirty": "private_dirty",
    "Referenced": "referenced",
    "Anonymous": "anonymous",
    "KSM": "ksm",
    "LazyFree": "lazy_free",
    "AnonHugePages": "anon_huge_pages",
    "ShmemPmdMapped": "shmem_pmd_mapped",
    "FilePmdMapped": "file_pmd_mapped",
    "Shared_Hugetlb": "shared_hugetlb",
    "Private_Hugetlb": "private_hugetlb",
    "Swap": "swap",
    "SwapPss": "swap_pss",
    "Locked": "locked",
}
NOT_ADDED = {"Size", "KernelPageSize", "MMUPageSize"}
BARE = {"THPeligible": "thp_eligible", "ProtectionKey": "protection_key"}
OF_MAPPING = KB | BARE | {"VmFlags": "vm_flags"}
OF_ROLLUP = {name: attribute for name, attribute in KB.items() if name not in NOT_ADDED} | {
    "Pss_Anon": "pss_anon",
    "Pss_File": "pss_file",
    "Pss_Shmem": "pss_shmem",
}
HEADER_PARTS = [
    rb"[0-9a-f]{1,16}-[0-9a-f]{1,16}",
    rb"[r-][w-][x-][sp]",
    rb"[0-9a-f]{1,16}",
    rb"[0-9a-f]{1,8}:[0-9a-f]{1,8}",
    rb"[0-9]{1,20}",
]
HEADER_BEGINNING = re.compile(b" ".join(HEADER_PARTS))
LISTING = re.compile(rb"[> \t]*(?:" + HEADER_BEGINNING.pattern + rb"|[A-Za-z]\w*:)")
QUOTE = re.compile(rb"[ \t]*(>+[ \t]*)*")
# Notes about lines that were skipped, with their numbers.
SKIPPED = re.compile(rf"(?:{Note.SKIPPED}|{Note.ROWS_OMITTED}): line (\d+): .*", re.DOTALL)


class RejectedError(Exception):
    """The reference parser rejects a text."""


class Reference:
    """The records of each process in a text, and notes."""

    record: Any = None

    def __init__(
        self,
        text: bytes,
        file: str = "smaps",
        *,
        pasted: bool = True,
        max_processes: int | None = None,
        only: Sequence[str] | None = None,
        skipped: Collection[int] = (),
    ) -> None:
        self.file = file
        self.skipped = skipped
        self.gap: list[bytes] = []
        self.max_processes = max_processes
        self.only = only
        self.notes: set[str] = set()
        self.processes: list[list[dict[str, Any]]] = [[]]
        self.first_lines = [0]
        self.units: dict[str, bool | None] = {}
        self.complete: list[str] = []
        lines = self.stripped(text) if pasted else text.split(b"\n")
        if not b"\n".join(lines).strip():
            self.notes.add(Note.EMPTY)
        elif lines[-1] and len(lines) not in skipped:
            self.notes.add(Note.NO_NEWLINE)
        for number, line in enumerate(lines, 1):
            self.number = number
            if number in skipped:
                self.skip(line)
                lines[number - 1] = b""
            elif header := self.header(line):
                self.begin(header)
            elif self.record is not None and re.fullmatch(rb"[A-Za-z]\w*", line.split(b":")[0]):
                if b":" not in line:
                    raise RejectedError
                self.field(line)
            elif line.strip():
                raise RejectedError
        self.end_record(is_last=True)
        self.parts = [
            b"\n".join([*lines[begin:end], *([b""] if end else [])])
            for begin, end in zip(self.first_lines, [*self.first_lines[1:], None], strict=True)
        ]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records of all processes."""
        return [record for process in self.processes for record in process]

    def stripped(self, text: bytes) -> list[bytes]:
        lines = text.split(b"\n")
        listing = [line for line in lines[:-1] if LISTING.match(line)] or lines[:-1]
        if listing and all(line.endswith(b"\r") for line in listing):
            lines = [line.removesuffix(b"\r") for line in lines]
            self.notes.add(Note.CRLF)
        headers = [line for line in lines if HEADER_BEGINNING.match(line.lstrip(b"> \t"))]
        prefixes = [QUOTE.match(line)[0] for line in headers]  # type: ignore[index]
        bare = prefixes[0].rstrip() if prefixes else b""
        if any(prefixes) and not bare:
            width = max(map(len, prefixes))
            self.notes.add(Note.QUOTED)
            lines = [re.sub(rb"^[ \t]{1,%d}" % width, b"", line) for line in lines]
        elif bare:
            blanks = min(len(prefix) - len(bare) for prefix in prefixes)
            quote = re.compile(re.escape(bare) + rb"[ \t]{%d}|" % blanks)
            self.notes.add(Note.QUOTED)
            lines = [b"" if e.rstrip() == bare else quote.sub(b"", e, count=1) for e in lines]
        return lines

    def header(self, line: bytes) -> dict[str, Any] | None:
        words = line.split(b" ", 5)
        if len(words) < 5 or not all(map(re.fullmatch, HEADER_PARTS, words)):
            return None
        start, end = (int(word, 16) for word in words[0].split(b"-"))
        name = words[5].lstrip(b" ") if len(words) == 6 else b""
        if self.only is None:
            if start > end or int(words[4]) >= 2**64:
                raise RejectedError
            if name == b"[rollup]" and self.file != "rollup":
                raise RejectedError
        return {
            "start": start,
            "end": end,
            "perms": words[1].decode(),
            "offset": int(words[2], 16),
            "device": tuple(int(word, 16) for word in words[3].split(b":")),
            "inode": int(words[4]),
            "name": name,
            "fields": {},
        }

    def begin(self, header: dict[str, Any]) -> None:
        before = self.record
        is_other = self.file == "rollup" or (
            self.max_processes is not None
            and before is not None
            and (
                (header["end"] <= before["start"] and header["start"] < before["start"])
                or (self.gap and header["start"] <= before["start"])
                or b"$ cat /proc/1/smaps" in self.gap
            )
        )
        self.gap = []
        if is_other and self.max_processes == 1:
            raise RejectedError
        self.end_record(is_last=is_other)
        if is_other and before is not None:
            self.processes.append([])
            self.first_lines.append(self.number - 1)
        if header["start"] == header["end"] and self.file != "rollup":
            self.notes.add(Note.EMPTY_RANGE)
        self.record = header

    def end_record(self, *, is_last: bool) -> None:
        if self.record is None:
            return
        names = list(self.record["fields"])
        if self.file != "maps":
            is_beginning = len(names) < len(self.complete) and self.complete[: len(names)] == names
            if not names or (is_last and is_beginning):
                raise RejectedError
        self.complete = names
        self.processes[-1].append(self.record)

    def field(self, line: bytes) -> None:  # noqa: C901  the rules in one place
        if self.file == "maps":
            raise RejectedError
        raw_name, _, value = line.partition(b":")
        name, value = raw_name.decode(), value.lstrip(b" \t")
        if self.only is not None and name not in self.only:
            self.record["fields"].setdefault(name, None)
            return
        number = value.rstrip(b" \t")
        has_unit = number.endswith(b" kB")
        digits = number.removesuffix(b" kB")
        is_number = digits.isdigit() and (digits == b"0" or digits[:1] != b"0")
        found: Any
        known = OF_ROLLUP if self.file == "rollup" else OF_MAPPING
        if name == "VmFlags" and name in known:
            found = tuple(word.decode("latin-1") for word in re.split(rb"[ \t]+", value) if word)
            if not all(re.fullmatch(r"[!-~]{2}", word) for word in found):
                raise RejectedError
        elif name in known:
            if not is_number or has_unit != (name not in BARE) or int(digits[:20]) >= 2**53:
                raise RejectedError
            found = int(digits)
        else:
            unit = has_unit if is_number and len(digits) <= 16 else None
            is_value = unit is not None and len(digits) <= 15
            same = self.units.get(name, unit) == unit
            found = int(digits) if is_value and same else value
        if name in self.record["fields"]:
            if self.record["fields"][name] != found:
                raise RejectedError
            self.notes.add(Note.DUPLICATE_FIELD)
        if name not in self.units:
            if len(self.units) == 256:
                raise RejectedError
            self.units[name] = has_unit if is_number and len(digits) <= 16 else None
        self.record["fields"][name] = found

    def skip(self, line: bytes) -> None:
        """Note a line that was skipped: it may be anything but a part of a listing."""
        if re.search(rb"[0-9a-f]{4}-[0-9a-f]{4}|kB|^[A-Z]\w*: *\d", line):
            raise AssertionError(line)
        if not line.startswith((b"...", b"[...")):
            self.gap.append(line)


def each_process(
    text: bytes, file: str = "smaps", skipped: Collection[int] = ()
) -> list[Reference]:
    """Parse a whole text, which may be rejected, then the part of each process."""
    whole = Reference(text, file, max_processes=99, skipped=skipped)
    if len(whole.parts) == 1:
        return [whole]
    found = [Reference(part, file, pasted=False) for part in whole.parts]
    for each in found:
        each.notes |= whole.notes & {Note.CRLF, Note.QUOTED}
    return found


def text_of(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def value_of(value: Any) -> Any:
    return text_of(value) if isinstance(value, bytes) else value


def size_of(record: dict[str, Any]) -> int:
    size: int = record["fields"].get("Size", (record["end"] - record["start"]) // 1024)
    return size


def expected_mapping(record: dict[str, Any]) -> tuple[Any, ...]:
    fields = record["fields"]
    return (
        record["start"],
        record["end"],
        record["perms"],
        record["offset"],
        record["device"],
        record["inode"],
        text_of(record["name"]),
        size_of(record),
        [fields.get(name) for name in OF_MAPPING if name != "Size"],
        [(name, value_of(v)) for name, v in fields.items() if name not in OF_MAPPING],
    )


def found_mapping(mapping: smapskit.Mapping) -> tuple[Any, ...]:
    assert mapping.device is not None
    return (
        mapping.start,
        mapping.end,
        str(mapping.perms),
        mapping.offset,
        (mapping.device.major, mapping.device.minor),
        mapping.inode,
        mapping.pathname,
        mapping.size,
        [getattr(mapping, attribute) for name, attribute in OF_MAPPING.items() if name != "Size"],
        list(mapping.extra.items()),
    )


def expected_sums(records: Iterable[dict[str, Any]], by: str | None) -> list[Any]:
    keys: dict[str | None, Callable[[dict[str, Any]], str]] = {
        None: lambda _: "",
        "perms": lambda r: r["perms"],
        "sharing": lambda r: "shared" if r["perms"][3] == "s" else "private",
        "pathname": lambda r: text_of(r["name"]),
    }
    groups: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(keys[by](record), []).append(record)
    return [
        (
            key,
            len(group),
            sum(map(size_of, group)),
            None
            if added(group, "Rss") is None
            else (sum(r["fields"].get("Rss", 0) for r in group if r["perms"][3] == "s")),
            [added(group, name) for name in KB if name not in NOT_ADDED],
        )
        for key, group in groups.items()
    ]


def added(group: list[dict[str, Any]], name: str) -> int | None:
    values = [record["fields"][name] for record in group if name in record["fields"]]
    return sum(values) if values else None


def found_sums(groups: dict[Any, Totals]) -> list[Any]:
    return [
        (
            str(key),
            each.count,
            each.size,
            each.shared_rss,
            [getattr(each, KB[name]) for name in KB if name not in NOT_ADDED],
        )
        for key, each in groups.items()
    ]


def expected_frame(records: list[dict[str, Any]], factor: int) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        "start": [r["start"] for r in records],
        "end": [r["end"] for r in records],
        "perms": [r["perms"] for r in records],
        "offset": [r["offset"] for r in records],
        "device": ["{:02x}:{:02x}".format(*r["device"]) for r in records],
        "inode": [r["inode"] for r in records],
        "pathname": [text_of(r["name"]) for r in records],
        "size": [size_of(r) * factor for r in records],
    }
    for name, attribute in OF_MAPPING.items():
        values = [r["fields"].get(name) for r in records]
        if name in KB and name != "Size":
            columns[attribute] = [None if kb is None else kb * factor for kb in values]
        elif name == "VmFlags":
            columns[attribute] = [None if f is None else " ".join(f) for f in values]
        elif name in BARE:
            columns[attribute] = values
    known = {*columns, *_DERIVED, "extra", "pmap_dirty"}
    for name in dict.fromkeys(n for r in records for n in r["fields"] if n not in OF_MAPPING):
        values = [value_of(r["fields"].get(name)) for r in records]
        if any(isinstance(value, str) for value in values):
            values = [None if value is None else str(value) for value in values]
        columns[f"extra.{name}" if name in known else name] = values
    return columns


_DERIVED = ("backing", "sharing", "kind", "kind_source")
"""Columns of a frame that are not in the text."""


def found_frame(frame: Any) -> dict[str, list[Any]]:
    columns = {name: frame[name] for name in frame.columns if name not in _DERIVED}
    return {
        name: [None if gone else v for v, gone in zip(c.tolist(), c.isna(), strict=True)]
        for name, c in columns.items()
    }


# ---- the readers -----------------------------------------------------------------------------

REJECTED = "rejected"


def rejecting(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (RejectedError, smapskit.ParseError):
        return REJECTED


def snapshot_of(snapshot: smapskit.Snapshot) -> Any:
    notes = {note for note in snapshot.notes if not SKIPPED.fullmatch(note)}
    return list(map(found_mapping, snapshot)), notes


def sorted_extras(snapshots: Any) -> Any:
    """The records without notes, and without the order of unknown fields."""
    if snapshots == REJECTED:
        return REJECTED
    return [[(*m[:-1], sorted(m[-1], key=str)) for m in mappings] for mappings, _ in snapshots]


def skipped_lines(snapshot: smapskit.Snapshot) -> set[int]:
    """Return the numbers of the lines that the notes of a snapshot report as skipped."""
    return numbers_in(snapshot.notes)


def skipped_if_needed(text: bytes, file: ProcFile) -> set[int]:
    """Return the lines that are skipped, for a reader that returns no notes."""
    name = "rollup" if file is ROLLUP else file.name
    is_read = rejecting(lambda: Reference(text, name, max_processes=99)) != REJECTED
    return set() if is_read else numbers_in(pasted.clean(text, file).notes)


def numbers_in(notes: Iterable[str]) -> set[int]:
    return {int(found[1]) for note in notes if (found := SKIPPED.fullmatch(note))}


def of_reference(reference: Reference) -> Any:
    return [*map(expected_mapping, reference.records)], reference.notes


class Case:
    """One text, the size of its chunks, and all readers."""

    template: ClassVar[Template | None] = None
    """That of the text before whose frames were compared."""

    def __init__(self, rng: random.Random) -> None:
        generator = Generator(rng)
        self.text = generator.text()
        self.is_exact = generator.is_exact
        self.is_uniform = rng.random() < 0.5
        """Whether the uniform parser is used where a text is read once only."""
        self.size = rng.choice([150, 500, 2000, 100_000])
        self.chunk_size = rng.choice([1, 700, 3000, 1 << 20])
        self.by: Any = rng.choice([None, "perms", "sharing", "pathname"])
        self.other_file = rng.choice(["maps", "smaps_rollup", None])
        # Frames take ten times as long as all the rest.
        self.unit: Any = rng.choice(["kB", "bytes", *[None] * 38])
        self.differences: list[str] = []

    def pieces(self) -> Iterator[bytes]:
        return (self.text[at : at + self.size] for at in range(0, len(self.text), self.size))

    def equal(self, reader: str, found: Any, expected: Any) -> None:
        if found != expected:
            self.differences.append(f"{reader}\n  found    {found!r}\n  expected {expected!r}")

    def run(self) -> None:
        text = self.text
        self.whole_text("smaps", smapskit.parse_smaps, smapskit.parse_smaps_all)
        if self.other_file == "maps":
            headers = re.sub(rb"(?m)^[A-Z][A-Za-z_]*:.*\n", b"", text)
            self.whole_text("maps", smapskit.parse_maps, smapskit.parse_maps_all, headers)
        elif self.other_file == "smaps_rollup":
            self.rollups()

        one = rejecting(lambda: of_reference(Reference(text, pasted=False, max_processes=1)))
        with uniform_parser(is_used=self.is_uniform):
            stream = io.BytesIO(text)
            found = rejecting(lambda: [*map(found_mapping, smapskit.iter_mappings(stream))])
        self.equal("iter_mappings", found, one if one == REJECTED else one[0])

        live = rejecting(lambda: Reference(text, pasted=False))
        split = split_between_records(self.pieces(), self.chunk_size)
        self.equal("split_between_records", b"".join(split), text)
        with self.small_chunks():
            for is_used in (True, False):
                with uniform_parser(is_used=is_used):
                    self.live(live, f"uniform parser: {is_used}")
        for names in (["Size", "Rss", "Shared_Dirty", "Private_Dirty"], ["Rss"]):
            self.fields(names)
        if self.unit:
            self.frames(live)

    @contextmanager
    def small_chunks(self) -> Iterator[None]:
        """Let the reader split a text into small chunks, which may differ from each other."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                reader,
                "split_between_records",
                lambda chunks: split_between_records(chunks, self.chunk_size),
            )
            yield

    def live(self, live: Any, how: str) -> None:
        """Read as the text of a live process is read: in chunks, as records and as sums."""
        found = rejecting(lambda: snapshot_of(read_snapshot(self.pieces(), SMAPS, None)))
        expected = REJECTED if live == REJECTED else of_reference(live)
        self.equal(f"read_snapshot, {how}", found, expected)
        columns = ColumnReader(SMAPS).columns(self.pieces())
        found = rejecting(lambda: found_sums(group_columns(columns, self.by)))
        expected = live if live == REJECTED else expected_sums(live.records, self.by)
        self.equal(f"sums by {self.by}, {how}", found, expected)

    @staticmethod
    def one(text: bytes, file: str, skipped: Collection[int]) -> Any:
        return rejecting(
            lambda: of_reference(Reference(text, file, max_processes=1, skipped=skipped))
        )

    def whole_text(
        self,
        file: str,
        parse_one: Callable[[bytes], smapskit.Snapshot],
        parse_all: Callable[[bytes], list[smapskit.Snapshot]],
        text: bytes | None = None,
    ) -> None:
        text = self.text if text is None else text
        written = {}
        for is_used in (True, False):
            with uniform_parser(is_used=is_used):
                snapshot = rejecting(lambda: parse_one(text))
            if snapshot != REJECTED and Note.WRAPPED in snapshot.notes:
                return  # the reference does not join lines
            found = snapshot if snapshot == REJECTED else snapshot_of(snapshot)
            skipped = set() if snapshot == REJECTED else skipped_lines(snapshot)
            one = self.one(text, file, skipped)
            self.equal(f"parse_{file}, uniform parser: {is_used}", found, one)
            if snapshot != REJECTED:
                written[is_used] = self.written([snapshot])
        if written:
            self.equal(f"{file} written", written[True], written[False])
            if file == "smaps" and self.is_exact:
                self.equal("smaps written as it was", written[True], text)
        with uniform_parser(is_used=self.is_uniform):
            snapshots = rejecting(lambda: parse_all(text))
        skipped = set() if snapshots == REJECTED else skipped_lines(snapshots[0])
        expected = several = rejecting(lambda: each_process(text, file, skipped))
        if several != REJECTED:
            expected = [*map(of_reference, several)]
        found = snapshots if snapshots == REJECTED else [*map(snapshot_of, snapshots)]
        self.equal(f"parse_{file}_all, uniform parser: {self.is_uniform}", found, expected)
        if snapshots != REJECTED:
            out = self.written(snapshots)
            again = rejecting(lambda: [*map(snapshot_of, parse_all(out))])
            # Fields in an order of their own can look like a truncated record when they are
            # written in one order, one name that ends in CR like CRLF line ends; a range of
            # nearly all addresses is larger than any Size.
            # Without the lines that were skipped, the listings may not be distinguished.
            is_crlf = out.count(b"\r\n") == out.count(b"\n")
            is_large = any(mapping.size >= 2**53 for each in snapshots for mapping in each)
            if not (is_crlf or is_large or skipped or (again == REJECTED and not self.is_exact)):
                self.equal(
                    f"{file} written and read", sorted_extras(again), sorted_extras(expected)
                )

    def written(self, snapshots: list[smapskit.Snapshot]) -> bytes:
        """Write the snapshots as text; no two of their records share an `extra`."""
        extras = [id(mapping.extra) for each in snapshots for mapping in each]
        self.equal("an extra for each record", len(set(extras)), len(extras))
        return "".join(map(smapskit.format_smaps, snapshots)).encode("utf-8", "surrogateescape")

    def rollups(self) -> None:
        text = re.sub(rb"(?m)^(([0-9a-f]+-[0-9a-f]+ .{0,25}?\d+)) .*$", rb"\1 [rollup]", self.text)
        skipped = skipped_if_needed(text, ROLLUP)
        reference = rejecting(lambda: Reference(text, "rollup", max_processes=99, skipped=skipped))
        expected = reference
        if reference != REJECTED:
            records = reference.records
            is_rollup = records and all(r["name"] == b"[rollup]" for r in records)
            expected = [self.rollup(r) for r in records] if is_rollup else REJECTED
        found = rejecting(lambda: [*map(self.found_rollup, smapskit.parse_rollup_all(text))])
        self.equal("parse_rollup_all", found, expected)
        one = expected if len(expected) == 1 else REJECTED
        found = rejecting(lambda: [self.found_rollup(smapskit.parse_rollup(text))])
        self.equal("parse_rollup", found, one)

    @staticmethod
    def rollup(record: dict[str, Any]) -> Any:
        fields = record["fields"]
        extra = [(name, value_of(v)) for name, v in fields.items() if name not in OF_ROLLUP]
        return record["start"], record["end"], [fields.get(n) for n in OF_ROLLUP], extra

    @staticmethod
    def found_rollup(rollup: smapskit.Rollup) -> Any:
        values = [getattr(rollup, attribute) for attribute in OF_ROLLUP.values()]
        return rollup.start, rollup.end, values, list(rollup.extra.items())

    def fields(self, names: list[str]) -> None:
        """Scan fields as the plain table does: it may give up, but not return other values."""
        scanner = FieldScanner(names)
        rows: list[Any] = []
        for chunk in split_between_records(self.pieces(), self.chunk_size):
            found = scanner.scan(chunk)
            if found is None:
                return
            rows += found
        reference = rejecting(lambda: Reference(self.text, pasted=False, only=names))
        if reference == REJECTED:
            self.differences.append(f"FieldScanner {names}: scanned what is to be rejected")
            return
        expected = [
            (r["start"], r["end"], r["inode"], r["name"], *(r["fields"].get(n) for n in names))
            for r in reference.records
        ]
        values: list[Any] = [
            (int(row[0], 16), int(row[1], 16), int(row[5]), row[6], *map(int, row[7:]))
            for row in rows
        ]
        self.equal(f"FieldScanner {names}", values, expected)

    def frames(self, live: Any) -> None:
        text, unit = self.text, self.unit
        skipped = skipped_if_needed(text, SMAPS)
        one = rejecting(lambda: Reference(text, max_processes=1, skipped=skipped))
        several = rejecting(lambda: each_process(text, "smaps", skipped))
        self.frame(
            "parse_frame",
            lambda: [frames.parse_frame(text, unit)],
            one if one == REJECTED else one.processes,
        )
        self.frame(
            "parse_columns_all",
            self.frames_of_processes,
            several if several == REJECTED else [each.records for each in several],
        )
        self.frame(
            "from_columns",
            lambda: [frames.from_columns(ColumnReader(SMAPS).columns(self.pieces()), unit)],
            live if live == REJECTED else [live.records],
        )

    def frames_of_processes(self) -> list[Any]:
        """Parse with the template of the text before, which changes nothing."""
        processes, type(self).template = parse_columns_all(self.text, template=self.template)
        return [frames.from_columns(parts, self.unit) for parts in processes]

    def frame(self, reader: str, read: Callable[[], list[Any]], processes: Any) -> None:
        found = rejecting(lambda: [*map(found_frame, read())])
        expected = processes
        if processes != REJECTED:
            factor = 1024 if self.unit == "bytes" else 1
            expected = [expected_frame(process, factor) for process in processes]
        self.equal(f"{reader} in {self.unit}", found, expected)


# ---- the texts -------------------------------------------------------------------------------

SHORT = [kernel_texts.FIELDS["2.6.14"], "Size Rss Shared_Dirty Private_Dirty VmFlags"]
NAMES = [
    b"[heap]",
    b"[stack]",
    b"[vdso]",
    b"[vsyscall]",
    b"[anon:a b]",
    b"/usr/lib/libc.so.6",
    b"/usr/bin/hello   world",
    b"/memfd:x (deleted)",
    b"socket:[1]",
    b"relative/path",
    b"/ends in CR\r",
    b"\r",
    b"/trailing blank ",
    b"/\x0b\x0c\x1c\x85\xe2\x80\xa8",
    b"/not utf-8 \xff",
    b"Rss:                   4 kB",
    b"7f00a000-7f00b000 r--p 00000000 fe:00 1",
    b"[rollup]",
    b"...",
    b"/x\x00y",
]
UNKNOWN = ["Folios", "Writeback", "rss", "Nonlinear", "ksm_state", "Name", "Pss_Anon", "A"]
UNKNOWN_LINES = tuple(f"{name}:".encode() for name in UNKNOWN)
LINES = [
    b"",
    b" ",
    b"...",
    b"[...]",
    b"---",
    b"$ cat /proc/1/smaps",
    b"Folios: 5",
    b"Rss:                   4 kB",
    b"what is this",
    b"\r",
    b"VmFlags:",
    b"VmFlags: rd\tmr  \t",
    b"7f00a000-7f00b000 r--p 00000000 fe:00 1 [rollup]",
    b"7f00b000-7f00a000 r--p 00000000 fe:00 1",
    b"x7f00a000-7f00b000 r--p 00000000 fe:00 1",
]
JUNK = [b"\n", b" ", b"-", b":", b"\xff", b"\r\n", b"\r", b"\t", b"0", b"9", b"kB", b"\x00"]


class Generator:
    """Generates the text of a case."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.is_exact = True
        """Whether the text has to be written again as it was."""

    def text(self) -> bytes:
        rng = self.rng
        if rng.random() < 0.05:
            text = self.real()
        else:
            count = rng.choice([1, 1, 1, 1, 1, 2, 2, 3])
            self.is_exact = count == 1
            text = b"".join(self.process(same=rng.random() < 0.8) for _ in range(count))
        if rng.random() < 0.15:
            text = self.changed_unit(text)
        if rng.random() < 0.1:
            self.is_exact = False
            text = rng.choice([self.crlf, self.quoted])(text)
        if rng.random() < 0.4:
            self.is_exact = False
            for _ in range(rng.choice([1, 1, 1, 2, 3])):
                text = self.damaged(text)
        return text

    def real(self) -> bytes:
        """Return up to five records of a real process."""
        text = self.rng.choice(SMAPS_FILES).read_bytes()
        starts = [m.start() for m in re.finditer(rb"(?m)^[0-9a-f]+-[0-9a-f]+ ", text)]
        first = self.rng.randrange(len(starts))
        return text[starts[first] : ([*starts, len(text)])[min(first + 5, len(starts))]]

    def process(self, *, same: bool) -> bytes:
        rng = self.rng
        self.is_exact &= same  # else the place of a field is not known
        names = rng.choice([*kernel_texts.FIELDS.values(), *SHORT * 6]).split()
        if rng.random() < 0.3:
            for name in rng.sample(UNKNOWN, rng.choice([1, 1, 2])):
                if name in names:
                    continue
                names.insert(rng.randrange(len(names) + 1), name)
        if rng.random() < 0.1:
            rng.shuffle(names)
        if rng.random() < 0.003:
            names += [f"F{n}" for n in range(rng.choice([150, 228, 229, 230, 231, 232, 260]))]
        self.units = {n: " kB" if n in KB or rng.random() < 0.6 else "" for n in names}
        address = rng.choice([0x400000, 0x10000, 0x55F3E745D000, 0x7F0000000000])
        out = []
        count = rng.choice([1, 1, 2, 2, 3])
        for number in range(count):
            header, address = self.header(address, is_last=number == count - 1)
            always = ("Size", names[-1])
            chosen = [n for n in names if same or n in always or rng.random() < 0.95]
            out.append(b"\n".join([header, *map(self.field, chosen), b""]))
        return b"".join(out)

    def header(self, address: int, *, is_last: bool) -> tuple[bytes, int]:
        rng = self.rng
        start = address
        kind = rng.random()
        if kind < 0.02:  # torn
            start = max(0, start - rng.choice([4096, 8192, 1 << 20]))
        end = start + rng.choice([4096, 8192, 135168, 1 << 30])
        if kind > 0.99:
            end = start
        if is_last and rng.random() < 0.2:
            start, end = 0xFFFFFFFFFF600000, 0xFFFFFFFFFF601000
            if rng.random() < 0.3:
                start, end = rng.choice([0, start]), 0xFFFFFFFFFFFFFFFF
        perms = "".join(rng.choice(pair) for pair in ("r-", "w-", "x-", "sp"))
        inode = rng.choice([0, 0, 260386, 2**64 - 1, 2**64 if rng.random() < 0.02 else 1])
        device = rng.choice(["00:00", "fe:00", "103:02"])
        offset = rng.choice([0, 0, 4096, 0x123456789ABC])
        head = f"{start:08x}-{end:08x} {perms} {offset:08x} {device} {inode} ".encode()
        name = b"" if rng.random() < 0.4 else rng.choice(NAMES[: 18 if rng.random() < 0.1 else 11])
        if rng.random() < 0.05:
            name = b"/" + rng.randbytes(5).replace(b"\n", b"")
        return (head.ljust(72) + b" " + name if name else head), end

    def field(self, name: str) -> bytes:
        rng = self.rng
        if name == "VmFlags":
            flags = rng.choice(["rd mr mw me", "rd wr mr ht", "", "??", "rd ex sd", "io pf"])
            return b"VmFlags: " + "".join(f"{flag} " for flag in flags.split()).encode()
        if name == "Name":
            return b"Name:           [anon:x]"
        value = rng.choice([0, 0, 0, 4, 8, 100, 1048576])
        if rng.random() < 0.01:
            value = rng.choice([99999999, 100000000, 2**40, 2**53 - 1, 2**53, 10**16, 10**30])
        prefix = f"{name}: ".ljust(16)
        unit = "" if name in BARE else self.units[name]
        if value >= 10**15:
            self.is_exact = False
        return f"{prefix}{value:{max(24 - len(prefix), 1)}d}{unit}".encode()

    def changed_unit(self, text: bytes) -> bytes:
        """Change the unit of a field on one line."""
        self.is_exact = False
        lines = text.split(b"\n")
        unknown = [n for n, line in enumerate(lines) if line.startswith(UNKNOWN_LINES)]
        at = self.rng.choice(unknown or range(len(lines)))
        line = lines[at]
        lines[at] = line.removesuffix(b" kB") if line.endswith(b" kB") else line + b" kB"
        return b"\n".join(lines)

    def crlf(self, text: bytes) -> bytes:
        if self.rng.random() < 0.8:
            return text.replace(b"\n", b"\r\n")
        return text.replace(b"\n", b"\r\n", self.rng.randrange(1, 40))

    def quoted(self, text: bytes) -> bytes:
        mark = self.rng.choice([b"> ", b">> ", b"    ", b"> > "])
        return b"".join(mark + line + b"\n" for line in text.split(b"\n"))

    def damaged(self, text: bytes) -> bytes:
        rng = self.rng
        at = rng.randrange(len(text) + 1)
        length = rng.randrange(1, 60)
        lines = text.split(b"\n")
        line = rng.randrange(len(lines))
        match rng.randrange(10):
            case 0:
                return text[:at] + rng.choice(JUNK) + text[at + 1 :]
            case 1:
                return text[:at] + rng.choice(JUNK) + text[at:]
            case 2:
                return text[:at] + text[at + length :]
            case 3:
                return text[:at]
            case 4:
                return text[at:]
            case 5:
                lines.insert(line, rng.choice(LINES))
            case 6:
                lines.insert(line, lines[rng.randrange(len(lines))])
            case 7:
                del lines[line]
            case 8:
                lines[line] += rng.choice(JUNK)
            case _:
                lines[line] = lines[line].replace(b" ", rng.choice([b"", b"  ", b"\t"]), 1)
        return b"\n".join(lines)


def case_of(seed: int, number: int) -> Case:
    """Return a case, the same in every run."""
    return Case(random.Random(f"{seed}/{number}"))


def main(words: Sequence[str] | None = None) -> int:
    """Run the cases; the exit status is 1 if there were differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    began = time.monotonic()
    differing = read = 0
    for number in range(options.first, options.first + options.cases):
        case = case_of(options.seed, number)
        try:
            case.run()
        except Exception as error:  # noqa: BLE001  any exception is a finding
            case.differences.append(f"{type(error).__name__}: {error}")
        read += rejecting(lambda: Reference(case.text, max_processes=99)) != REJECTED  # noqa: B023
        if case.differences:
            differing += 1
            print(f"case {number} of seed {options.seed}: {case.text!r}")
            print(*case.differences, sep="\n", flush=True)
    seconds = time.monotonic() - began
    print(
        f"{options.cases} cases ({read} read, {options.cases - read} rejected) of seed "
        f"{options.seed}, {differing} with differences, {seconds:.0f} s"
    )
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
