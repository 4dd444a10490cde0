"""Output for people and other programs: JSON, CSV, group tables, notebooks, plots."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import attrs
import jsonschema
import pytest
from support.paths import FIXTURES, ROOT

import smapskit
from smapskit import Mapping, Permissions, Snapshot, Unsupported, cli
from smapskit.model.mapping import COUNTERS, MAPPING_FIELDS
from smapskit.views import exports

SCHEMA = json.loads((ROOT / "docs" / "schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CAPTURES = FIXTURES / "all_mapping_kinds"
ALL_KINDS = smapskit.load(CAPTURES / "smaps.txt")
HOSTILE = [
    "/x\x1b]0;y\x07",
    "=SUM(A1)",
    "+1",
    "-1",
    "@x",
    "\t=1",
    "'quoted",
    "/<script>alert(1)</script>&amp;",
    "/not utf-8 \udcff",
    "/right\u202eleft",
    "/back\\slash and new\\012line",
    '/"quotes", commas',
    "/$a$ \\frac",
    "/" + "x" * 4000,
]
ODD = Snapshot(
    tuple(
        Mapping(
            start=n << 12,
            end=n + 1 << 12,
            perms=Permissions.parse("rw-s"),
            pathname=name,
            rss=n,
            extra={"Name": name},
        )
        for n, name in enumerate(HOSTILE)
    ),
    pid=7,
    command="=cmd \x1b[31m <b>",
    notes=("<i>",),
)


class TestJson:
    @pytest.mark.parametrize("name", ["smaps.txt", "maps.txt", "pmap-x.txt", "pmap-XX.txt"])
    def test_is_valid_by_the_schema(
        self, process_folder: Path, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for options in ([], ["--by", "backing"], ["--by", "kind"], ["--by", "pathname"]):
            assert cli.main(["--json", *options, str(process_folder / name)]) == 0
            document = json.loads(capsys.readouterr().out)
            VALIDATOR.validate(document)
            assert len(document["snapshots"]) == 1

    def test_the_schema_names_every_attribute(self) -> None:
        VALIDATOR.check_schema(SCHEMA)
        known = set(SCHEMA["$defs"]["mapping"]["properties"])
        classes = {"backing", "sharing", "kind", "kind_source"}
        assert known == {*MAPPING_FIELDS, *classes, "pathname_base64"}
        assert set(SCHEMA["$defs"]["totals"]["required"]) == {
            "count",
            "size",
            "dirty",
            "uss",
            *COUNTERS,
        }

    def test_values_are_those_of_the_records(self) -> None:
        (document,) = json.loads(exports.to_json([ALL_KINDS]))["snapshots"]
        assert [m["rss"] for m in document["mappings"]] == [m.rss for m in ALL_KINDS]
        assert [int(m["start"], 16) for m in document["mappings"]] == [m.start for m in ALL_KINDS]
        verdicts = smapskit.kinds(ALL_KINDS)
        assert [m["kind"] for m in document["mappings"]] == [v.kind for v in verdicts]
        assert [m["kind_source"] for m in document["mappings"]] == [v.source for v in verdicts]
        assert document["totals"]["rss"] == ALL_KINDS.totals().rss
        assert document["mappings"][0]["protection_key"] is None

    def test_any_name_is_kept_and_every_parser_can_read_it(self) -> None:
        text = exports.to_json([ODD])
        assert text.isascii()
        assert "\\ud" not in text.replace("\\ufffd", "")
        (document,) = json.loads(text)["snapshots"]
        names = [
            base64.b64decode(m["pathname_base64"]).decode("utf-8", "surrogateescape")
            if "pathname_base64" in m
            else m["pathname"]
            for m in document["mappings"]
        ]
        assert names == HOSTILE


class TestCsv:
    def test_rows_and_columns(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.main(["--csv", str(CAPTURES / "smaps.txt")])
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        assert [row["rss"] for row in rows] == [str(m.rss) for m in ALL_KINDS]
        assert [int(row["start"], 16) for row in rows] == [m.start for m in ALL_KINDS]
        assert {row["protection_key"] for row in rows} == {""}
        assert [row["kind"] for row in rows] == [v.kind for v in smapskit.kinds(ALL_KINDS)]
        assert {row["kind_source"] for row in rows} <= set(smapskit.KindSource)
        assert [row["perms"] for row in rows] == [str(m.perms) for m in ALL_KINDS]

    def test_no_cell_is_a_formula_and_every_name_is_kept(self) -> None:
        text = exports.to_csv([ODD])
        assert text.replace("\n", "").isprintable()
        rows = list(csv.DictReader(io.StringIO(text)))
        for row, name in zip(rows, HOSTILE, strict=True):
            for cell in (row["pathname"], row["Name"]):
                assert cell[0] not in "=+-@\t"
                plain = cell.removeprefix("'")
                raw = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), plain)
                assert raw == name.encode("utf-8", "surrogateescape").decode("latin-1")


class TestGroups:
    def test_the_largest_first_and_a_sum(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.main(["--by", "backing", str(CAPTURES / "smaps.txt")])
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == [
            "Count",
            "Size",
            "RSS",
            "PSS",
            "USS",
            "Dirty",
            "Swap",
            "Backing",
        ]
        rows = [line.split() for line in lines[1:-2]]
        rss = [int(row[2]) for row in rows]
        assert rss == sorted(rss, reverse=True)
        total = ALL_KINDS.totals()
        assert lines[-1].split()[:3] == [str(total.count), str(total.size), str(total.rss)]
        assert sum(rss) == total.rss
        assert {row[-1] for row in rows} == {str(b) for b in ALL_KINDS.group_by("backing")}

    def test_kinds(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.main(["--by", "kind", str(CAPTURES / "smaps.txt")])
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split()[-1] == "Kind"
        rows = {line.split(None, 7)[7]: line.split() for line in lines[1:-2]}
        groups = ALL_KINDS.group_by("kind")
        assert {kind: int(row[2]) for kind, row in rows.items()} == {
            str(kind): totals.rss for kind, totals in groups.items()
        }
        assert "other anonymous" in rows

    def test_kinds_of_a_range_are_those_of_the_process(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (arena,) = (
            m for m, v in zip(ALL_KINDS, ALL_KINDS.kinds(), strict=True) if v.kind == "malloc arena"
        )
        for options in (["--by", "kind"], ["--csv"], ["--json"]):
            cli.main([*options, "-A", f"{arena.start:x}", str(CAPTURES / "smaps.txt")])
            assert "malloc arena" in capsys.readouterr().out

    def test_unknown_backing(self, capsys: pytest.CaptureFixture[str]) -> None:
        cli.main(["--by", "backing", str(CAPTURES / "pmap.txt")])
        out = capsys.readouterr().out
        assert out.startswith("7")  # the process's line
        assert "(unknown)" in out
        assert out.splitlines()[-1].split()[2] == "-"

    def test_only_a_range(self, capsys: pytest.CaptureFixture[str]) -> None:
        chosen = f"{ALL_KINDS[0].start:x},{ALL_KINDS[2].start:x}"
        cli.main(["--by", "perms", "-A", chosen, str(CAPTURES / "smaps.txt")])
        assert capsys.readouterr().out.splitlines()[-1].split()[0] == "3"


class TestDiffCommand:
    def test_two_captures(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before, after = tmp_path / "before", tmp_path / "after"
        before.write_text(smapskit.format_smaps(ALL_KINDS).encode("utf-8", "replace").decode())
        grown = attrs.evolve(ALL_KINDS[6], rss=(ALL_KINDS[6].rss or 0) + 400)
        changed = attrs.evolve(ALL_KINDS, mappings=(*ALL_KINDS[:6], grown, *ALL_KINDS[8:]))
        after.write_text(smapskit.format_smaps(changed).encode("utf-8", "replace").decode())
        assert cli.main(["diff", str(before), str(after)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split()[:3] == ["Change", "Size", "RSS"]
        assert lines[1].split()[:3] == ["changed", "0", "+400"]
        assert lines[-1] == f"1 removed, 1 changed, {len(ALL_KINDS) - 2} unchanged"

    def test_errors(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["diff", "no/such", "999999999"]) == 43
        assert len(capsys.readouterr().err.splitlines()) == 2


class _Checker(HTMLParser):
    """Collects tags, and asserts that each opened tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


class TestNotebook:
    @pytest.mark.parametrize(
        "shown",
        [ALL_KINDS, ALL_KINDS[:5], ODD, Snapshot(()), ODD.totals(), smapskit.diff(ALL_KINDS, ODD)],
        ids=repr,
    )
    def test_is_well_formed_and_names_are_escaped(self, shown: object) -> None:
        html = shown._repr_html_()  # type: ignore[attr-defined]
        checker = _Checker()
        checker.feed(html)
        assert checker.open == []
        assert checker.tags <= {
            *["table", "thead", "tbody", "tfoot", "tr", "th", "td", "code", "div", "em"]
        }
        assert "\x1b" not in html

    def test_a_long_table_is_shortened(self) -> None:
        html = ALL_KINDS._repr_html_()
        assert html.count("<tr>") == 30 + 3  # head, fold and foot
        assert f"… {len(ALL_KINDS) - 30} more …" in html
        assert f"{ALL_KINDS.totals().rss:,}" in html
        assert html.count(">Kind<") == 1
        shown = [*ALL_KINDS.kinds()[:15], *ALL_KINDS.kinds()[-15:]]
        for kind in {verdict.kind for verdict in shown}:
            count = sum(verdict.kind is kind for verdict in shown)
            assert html.count(f">{kind}</td>") >= count


class TestPlot:
    @pytest.mark.parametrize("by", ["backing", "sharing", "kind", "perms", "pathname"])
    def test_has_labels(self, by: str) -> None:
        figure = attrs.evolve(ALL_KINDS, pid=7).plot(by)  # type: ignore[arg-type]
        above, below = figure.axes
        assert "MiB" in above.get_xlabel()
        assert f"by {by}" in above.get_title(loc="left")
        assert figure.get_suptitle() == "Memory of process 7"
        labels = [label.get_text() for label in above.get_yticklabels()]
        if by == "backing":
            assert set(labels) == {str(b) for b in ALL_KINDS.group_by("backing")}
        legend = below.get_legend()
        assert legend is not None
        assert {t.get_text() for t in legend.get_texts()} == {
            str(b) for b in ALL_KINDS.group_by("backing")
        }

    def test_any_name_can_be_plotted(self, tmp_path: Path) -> None:
        picture = tmp_path / "x.svg"
        ODD.plot("pathname").savefig(picture)
        assert "<script" not in picture.read_text()
        Snapshot(()).plot().savefig(tmp_path / "empty.png")

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(Unsupported, match=r"pip install '\.\[plot\]'"):
            ALL_KINDS.plot()
