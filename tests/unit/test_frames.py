from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import strategies
from support.frames import assert_same
from support.paths import FIXTURES, corpus
from support.readers import parse_uniform

import smapskit
from smapskit import Backing, Snapshot
from smapskit.formats.smaps.files import SMAPS
from smapskit.formats.smaps.parse import parse_columns_all, read_snapshot
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.model.mapping import COUNTERS
from smapskit.views import frames

ALL_KINDS = smapskit.load(FIXTURES / "all_mapping_kinds" / "smaps.txt")
OLD = smapskit.load(FIXTURES / "all_mapping_kinds" / "pmap-x.txt")


class TestFrame:
    def test_one_row_per_mapping_named_as_the_attributes(self, process_folder: Path) -> None:
        snapshot = smapskit.load(process_folder / "smaps.txt")
        frame = snapshot.to_frame()
        assert list(frame.columns) == list(frames.COLUMNS)
        for name in ("start", "end", "inode", "pathname", "size", "rss", *COUNTERS[:-1]):
            values = [None if value is pd.NA else value for value in frame[name].tolist()]
            assert values == [getattr(m, name) for m in snapshot], name
        assert frame["backing"].tolist() == [m.backing for m in snapshot]
        assert frame["sharing"].tolist() == [m.sharing for m in snapshot]
        assert frame["kind"].tolist() == [v.kind for v in smapskit.kinds(snapshot)]
        assert frame["kind_source"].tolist() == [v.source for v in smapskit.kinds(snapshot)]
        assert frame["perms"].tolist() == [str(m.perms) for m in snapshot]
        assert frame["vm_flags"].tolist() == [" ".join(m.vm_flags or ()) for m in snapshot]

    def test_types(self) -> None:
        frame = ALL_KINDS.to_frame()
        assert {str(frame[name].dtype) for name in ("start", "end", "offset", "inode")} == {
            "uint64"
        }
        assert {str(frame[name].dtype) for name in ("size", "rss", "swap")} == {"int64"}
        assert str(frame["protection_key"].dtype) == "Int64"  # the machine had none
        for name in ("backing", "sharing", "kind", "kind_source"):
            assert frame[name].cat.ordered
        assert (frame["kind_source"] <= "name").sum() == len(
            [v for v in ALL_KINDS.kinds() if v.source in ("kernel", "name")]
        )
        assert pd.api.types.is_string_dtype(frame["pathname"])
        assert int(frame["start"].max()) == 0xFFFFFFFFFF600000

    def test_values_that_a_source_does_not_report_are_missing(self) -> None:
        frame = OLD.to_frame()
        assert frame["pss"].isna().all()
        assert (str(frame["pss"].dtype), str(frame["offset"].dtype)) == ("Int64", "UInt64")
        assert frame["pmap_dirty"].sum() == OLD.totals().dirty
        assert frame["backing"].isna().tolist() == [m.backing is None for m in OLD]

    def test_an_empty_snapshot_has_the_same_columns(self) -> None:
        frame = Snapshot(()).to_frame()
        assert list(frame.columns) == list(frames.COLUMNS)
        assert len(frame) == 0
        assert frame["rss"].sum() == 0
        assert list(smapskit.parse_frame(b"").columns) == list(frames.COLUMNS)

    def test_units(self) -> None:
        kb, mib, byte = (ALL_KINDS.to_frame(unit) for unit in ("kB", "MiB", "bytes"))
        assert (byte["rss"] == kb["rss"] * 1024).all()
        assert np.allclose(mib["rss"] * 1024, kb["rss"])
        assert (byte["start"] == kb["start"]).all()
        assert (byte["thp_eligible"] == kb["thp_eligible"]).all()
        assert OLD.to_frame("MiB")["pss"].isna().all()
        with pytest.raises(ValueError, match="expected kB, MiB or bytes, got 'GB'"):
            ALL_KINDS.to_frame("GB")

    def test_attrs_have_the_metadata_of_the_snapshot(self) -> None:
        time = datetime(2026, 1, 2, 3, tzinfo=UTC)
        frame = attrs.evolve(ALL_KINDS, pid=7, command="x", time=time, source="y").to_frame("MiB")
        assert frame.attrs == {
            "pid": 7,
            "command": "x",
            "time": "2026-01-02T03:00:00+00:00",
            "source": "y",
            "unit": "MiB",
        }

    def test_unknown_fields_do_not_replace_other_columns(self) -> None:
        odd = attrs.evolve(ALL_KINDS[0], extra={"Tomorrow": 4, "rss": 99, "Name": "x"})
        frame = Snapshot((odd, ALL_KINDS[1])).to_frame()
        assert frame["rss"].tolist() == [m.rss for m in ALL_KINDS[:2]]
        assert frame["Tomorrow"].tolist() == [4, pd.NA]
        assert (frame["extra.rss"][0], frame["Name"][0]) == (99, "x")
        assert Snapshot.from_frame(frame)[0].extra == odd.extra

    @pytest.mark.parametrize("unit", ["kB", "MiB", "bytes"])
    @pytest.mark.parametrize(
        "snapshot", [ALL_KINDS, OLD, ALL_KINDS[:0]], ids=["smaps", "pmap", "empty"]
    )
    def test_from_frame_is_the_inverse(self, snapshot: Snapshot, unit: frames.Unit) -> None:
        time = datetime(2026, 1, 2, tzinfo=UTC)
        about = attrs.evolve(snapshot, pid=7, command="x", time=time)
        back = Snapshot.from_frame(about.to_frame(unit))
        assert attrs.evolve(back, notes=about.notes) == about

    def test_several_snapshots(self) -> None:
        times = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
        several = [attrs.evolve(ALL_KINDS, pid=7, time=time) for time in times]
        frame = smapskit.concat(several)
        assert frame.index.names == ["pid", "time"]
        rss = frame.groupby("time")["rss"].sum()
        assert rss.tolist() == [ALL_KINDS.totals().rss] * 3
        assert frame.xs(times[1], level="time")["rss"].sum() == ALL_KINDS.totals().rss
        assert list(smapskit.concat([]).columns) == list(frames.COLUMNS)
        from_text = smapskit.parse_frame(smapskit.format_smaps(ALL_KINDS))
        from_text.attrs |= {"pid": 7, "time": times[0].isoformat()}
        pd.testing.assert_frame_equal(
            smapskit.concat([from_text, *several[1:]]), smapskit.concat(several)
        )
        with pytest.raises(ValueError, match="expected a frame in MiB, got one in kB"):
            smapskit.concat([from_text], "MiB")
        mixed = smapskit.concat([ALL_KINDS, attrs.evolve(OLD, time=times[0])])
        assert mixed["backing"].cat.ordered
        assert mixed["pss"].isna().sum() == len(OLD)


class TestEndOfAddressSpace:
    LAST = b"ffffffffff600000-ffffffffffffffff --xp 00000000 00:00 0 \n"
    ALL = b"00000000-ffffffffffffffff --xp 00000000 00:00 0 \n"
    FIELDS = b"Size:        9007199254740991 kB\nRss:                   4 kB\n"

    @pytest.mark.parametrize("unit", ["kB", "bytes"])
    def test_sizes_do_not_overflow(self, unit: frames.Unit) -> None:
        factor = 1024 if unit == "bytes" else 1
        snapshot = smapskit.parse_maps(self.ALL + self.LAST)
        frame = snapshot.to_frame(unit)
        assert frame["end"].tolist() == [2**64 - 1] * 2
        assert frame["size"].tolist() == [(2**54 - 1) * factor, (0x9FFFFF // 1024) * factor]
        back = smapskit.Snapshot.from_frame(frame)
        assert back.mappings == snapshot.mappings

    def test_where_values_are_missing(self) -> None:
        perms = smapskit.Permissions.parse("rw-p")
        some = smapskit.Mapping(start=0, end=1024, perms=perms, size=2**54 - 1, rss=2**53)
        other = smapskit.Mapping(start=0, end=1024, perms=perms)
        frame = Snapshot((some, other)).to_frame("bytes")
        assert frame["rss"][0] == 2**63
        assert frame["rss"].isna().tolist() == [False, True]
        assert str(frame["rss"].dtype) == "UInt64"

    def test_the_largest_values_of_a_text(self) -> None:
        text = self.ALL + self.FIELDS + self.LAST + self.FIELDS
        for frame in (
            smapskit.parse_frame(text, "bytes"),
            smapskit.parse_smaps(text).to_frame("bytes"),
        ):
            assert frame["size"].tolist() == [(2**53 - 1) * 1024] * 2
            assert str(frame["size"].dtype) == "int64"

    def test_frames_of_several_processes(self) -> None:
        parts = [smapskit.parse_maps(text) for text in (self.LAST, self.ALL)]
        frame = smapskit.concat(parts, "bytes")
        assert frame["size"].tolist() == [0x9FFFFF // 1024 * 1024, (2**54 - 1) * 1024]
        frame = smapskit.concat([*parts, smapskit.parse_smaps(self.LAST + self.FIELDS)], "bytes")
        assert frame["size"].tolist()[1:] == [(2**54 - 1) * 1024, (2**53 - 1) * 1024]


class TestFromText:
    @pytest.mark.parametrize("file", [*FIXTURES.glob("*/smaps.txt"), *corpus("smaps")], ids=str)
    def test_is_the_frame_of_the_records(self, file: Path) -> None:
        data = file.read_bytes()
        snapshots = smapskit.parse_smaps_all(data, source="x")
        processes, _ = parse_columns_all(data, source="x")
        found = [frames.from_columns(parts, "MiB", source="x") for parts in processes]
        for frame, snapshot in zip(found, snapshots, strict=True):
            expected = snapshot.to_frame("MiB")
            assert_same(frame, expected)
            assert frame.attrs == expected.attrs
        if len(found) == 1:
            frame = smapskit.parse_frame(data, "MiB", source="x")
            assert_same(frame, found[0])

    def test_the_template_of_another_text_changes_nothing(self) -> None:
        texts = [path.read_bytes() for path in sorted(FIXTURES.glob("*/smaps.txt"))]
        templates = [parse_columns_all(text)[1] for text in texts[::5]]
        assert any(templates)
        irregular = texts[0].replace(b"Rss:", b"Rss: ", 1)
        odd = texts[0].replace(b"Locked:                0 kB", b"Locked:                0 MB", 1)
        texts += [irregular, texts[0][:700], texts[0][: texts[0].index(b"VmFlags")], b""]
        for text in texts:
            (expected,), _ = parse_columns_all(text, strict=False)
            for template in templates:
                (found,), _ = parse_columns_all(text, strict=False, template=template)
                assert_same(frames.from_columns(found), frames.from_columns(expected))
        for template in templates:
            with pytest.raises(smapskit.ParseError, match=r"x, line \d+: expected 'Locked: N kB'"):
                parse_columns_all(odd, source="x", template=template)

    def test_the_text_of_a_kernel_is_parsed_by_columns(self, process_folder: Path) -> None:
        assert parse_uniform((process_folder / "smaps.txt").read_bytes()) is not None

    @settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    @pytest.mark.slow
    def test_any_text(self, data: st.DataObject) -> None:
        text = data.draw(strategies.smaps(uniform=True))
        if data.draw(st.booleans()):
            text = data.draw(strategies.mutated(text))
        try:
            expected = smapskit.parse_smaps(text).to_frame()
        except smapskit.ParseError:
            with pytest.raises(smapskit.ParseError):
                smapskit.parse_frame(text)
        else:
            assert_same(smapskit.parse_frame(text), expected)
        try:
            expected = read_snapshot([text], SMAPS, None).to_frame()
        except smapskit.ParseError:
            with pytest.raises(smapskit.ParseError):
                frames.from_columns(ColumnReader(SMAPS).columns([text]))
        else:
            chunks = [text[:99], text[99:200], text[200:]]
            assert_same(frames.from_columns(ColumnReader(SMAPS).columns(chunks)), expected)

    def test_an_unknown_field_that_is_not_utf_8(self) -> None:
        header, fields = b"0000%x000-0000%x000 rw-p 00000000 00:00 0 \n", b"Size:       4 kB\n"
        values = [b"\xff", b" 7 kB", b"", b" text"]
        text = b"".join(
            header % (n, n + 1) + fields + (b"AAA:" + value + b"\n" if value else b"")
            for n, value in enumerate(values, 1)
        )
        snapshot = smapskit.parse_smaps(text)
        frame = snapshot.to_frame()
        assert frame["AAA"].isna().tolist() == [False, False, True, False]
        assert frame["AAA"].dropna().tolist() == ["\udcff", "7 kB", "text"]
        assert_same(smapskit.parse_frame(text), frame)
        assert len(smapskit.concat([snapshot, ALL_KINDS])) == 4 + len(ALL_KINDS)

    def test_errors_are_those_of_the_parser(self) -> None:
        with pytest.raises(smapskit.ParseError, match=r"a\.txt, line 1: expected a line like"):
            smapskit.parse_frame("hello", source="a.txt")


class TestOtherLibraries:
    def test_parquet_keeps_types(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        frame = ALL_KINDS.filter(lambda m: m.pathname.isprintable()).to_frame()
        frame.to_parquet(tmp_path / "x.parquet")
        again = pd.read_parquet(tmp_path / "x.parquet")
        pd.testing.assert_frame_equal(again, frame)
        assert again.attrs == frame.attrs

    def test_polars(self) -> None:
        pytest.importorskip("pyarrow")
        pl = pytest.importorskip("polars")
        frame = ALL_KINDS.filter(lambda m: m.pathname.isprintable()).to_frame()
        by_backing = pl.from_pandas(frame).group_by("backing").agg(pl.col("rss").sum())
        found = dict(by_backing.with_columns(pl.col("backing").cast(pl.String)).iter_rows())
        expected = frame.groupby("backing", observed=True)["rss"].sum().to_dict()
        assert found == expected

    def test_duckdb(self) -> None:
        duckdb = pytest.importorskip("duckdb")
        mappings = OLD.to_frame()
        query = "SELECT sum(rss) FROM mappings WHERE sharing = 'shared'"
        relation: Any = duckdb.sql(query)
        ((found,),) = relation.fetchall()
        assert len(mappings) == len(OLD)
        assert found == OLD.shared_rss()

    def test_a_name_that_is_not_utf_8_is_kept_in_a_frame(self) -> None:
        names = ALL_KINDS.to_frame()["pathname"].tolist()
        assert any("\udcff" in name for name in names)


def test_a_difference_as_a_frame() -> None:
    later = [attrs.evolve(m, rss=(m.rss or 0) + 4) for m in ALL_KINDS[2:]]
    difference = smapskit.diff(ALL_KINDS, later)
    frame = difference.to_frame()
    assert frame["kind"].tolist() == [c.kind for c in difference.changes]
    assert frame["rss"].tolist() == [c.deltas.get("rss", 0) for c in difference.changes]
    assert frame["rss"].sum() == difference.deltas["rss"]
    assert frame.attrs == {"unit": "kB", "unchanged": 0}
    assert len(smapskit.diff(ALL_KINDS, ALL_KINDS).to_frame()) == 0


def test_backing_counts_in_pandas() -> None:
    counts = ALL_KINDS.to_frame()["backing"].value_counts()
    assert counts[Backing.SHMEM.value] == len([m for m in ALL_KINDS if m.backing is Backing.SHMEM])


def test_text_of_an_unknown_field_that_is_not_utf_8() -> None:
    text = b"1000-2000 rw-p 00000000 00:00 0 \nRss: 4 kB\nFoo: \xff\xfe\n"
    frame = smapskit.parse_frame(text)
    assert frame["Foo"].tolist() == ["\udcff\udcfe"]
    assert smapskit.parse_smaps(text).to_frame()["Foo"].tolist() == ["\udcff\udcfe"]


def test_unknown_fields_do_not_replace_the_columns_of_many_captures(tmp_path: Path) -> None:
    capture = tmp_path / "capture"
    capture.write_bytes(b"1000-2000 rw-p 00000000 00:00 0 \nRss: 4 kB\nsource: 7 kB\npid: 8 kB\n")
    frame = smapskit.load_frame([capture, f"{tmp_path}/a\0b"])
    assert frame["source"].tolist() == [str(capture)]
    assert (frame["extra.source"].tolist(), frame["extra.pid"].tolist()) == ([7], [8])
    assert list(frame.attrs["unreadable"]) == [f"{tmp_path}/a\0b"]
    assert smapskit.Snapshot.from_frame(smapskit.parse_frame(capture.read_bytes()))[0].extra == {
        "source": 7,
        "pid": 8,
    }
