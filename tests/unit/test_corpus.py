"""Captures by others: each is parsed, or rejected with an error that names file and line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.paths import CORPUS, FIXTURES, corpus
from support.readers import parse_lines

import smapskit
from smapskit import ParseError

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the folder of captures does not exist")

KERNELS_OWN = [file for family in ("smaps", "maps") for file in corpus(family)]
PMAPS = sorted(CORPUS.glob("pmap*/*.txt"))
# Not the layout of any kernel from 4 on: put together by hand, or with text around it.
NOT_BYTE_FOR_BYTE = {
    "android-ashmem-cursorwindow.txt",  # blank lines between
    "manpage-duplicate-fields.txt",  # a field twice
    "perfetto-cat-noeol.txt",  # no last newline
    "sles10-sshd-2.6.16-crlf.txt",  # CRLF and a command
}
# Records of two programs, put together by hand and not in the order of their addresses.
SEVERAL_PROCESSES = {"uutils-parser-test.txt": 4}


def by_name(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def is_malformed(file: Path) -> bool:
    return file.name.startswith("MALFORMED")


@pytest.mark.parametrize("file", [f for f in KERNELS_OWN if not is_malformed(f)], ids=by_name)
def test_every_mapping_is_read(file: Path) -> None:
    data = file.read_bytes()
    if file.name in SEVERAL_PROCESSES:
        snapshots = smapskit.load_all(file)
        assert len(snapshots) == SEVERAL_PROCESSES[file.name]
        with pytest.raises(ParseError, match="expected one process"):
            smapskit.load(file)
        assert sum(map(len, snapshots)) == len(re.findall(rb"(?m)^[0-9a-f]+-[0-9a-f]+ ", data))
        return
    snapshot = smapskit.load(file)
    assert len(snapshot) == len(re.findall(rb"(?m)^[0-9a-f]+-[0-9a-f]+ ", data))
    again = smapskit.format_smaps(snapshot)
    if file.name in NOT_BYTE_FOR_BYTE:
        assert (
            smapskit.parse_smaps(again).mappings == snapshot.mappings
            if (file.parent.name == "smaps")
            else smapskit.parse_maps(again).mappings == snapshot.mappings
        )
    else:
        assert again.encode("utf-8", "surrogateescape") == data


@pytest.mark.parametrize("file", corpus("smaps"), ids=by_name)
def test_both_parsers_agree(file: Path) -> None:
    data = file.read_bytes()
    found = [m for snapshot in smapskit.parse_smaps_all(data) for m in snapshot]
    records = data.replace(b"\r\n", b"\n")[data.index(b"-") - 8 :] if b"\r\n" in data else data
    assert tuple(found) == parse_lines(records)


@pytest.mark.parametrize("file", corpus("rollup"), ids=by_name)
def test_a_rollup_is_the_sum(file: Path) -> None:
    rollup = smapskit.load_rollup(file)
    smaps = file.parent.parent / "smaps" / file.name
    totals = smapskit.load(smaps).totals()
    for name in smapskit.model.mapping.COUNTERS:
        summed, said = getattr(totals, name), getattr(rollup, name)
        if name in ("pss", "swap_pss"):
            assert 0 <= said - summed <= totals.count
        else:
            assert summed == said, name


@pytest.mark.parametrize("file", [f for f in PMAPS if not is_malformed(f)], ids=by_name)
def test_a_pmaps_sums_are_its_own_totals(file: Path) -> None:
    snapshot = smapskit.load(file)  # compares them
    assert not any("total" in note for note in snapshot.notes)
    said = re.findall(rb"(?m)^ ?total\D*([0-9]+)", file.read_bytes())
    if said:
        assert snapshot.totals().size == int(said[0])
    else:
        assert snapshot.totals().size > 0


@pytest.mark.parametrize(
    "file", [f for f in [*KERNELS_OWN, *PMAPS] if is_malformed(f)], ids=by_name
)
def test_a_malformed_one_is_rejected_or_noted(file: Path) -> None:
    try:
        snapshot = smapskit.load(file)
    except ParseError as error:
        assert error.source == str(file)
        assert error.line_number is not None
    else:
        # Some are truncated without a trace; the others have a note.
        cut_off = ("head5", "powerpc-cms-head", "redis-i386-head")
        assert snapshot.notes or any(name in file.name for name in cut_off)


@pytest.mark.parametrize("file", corpus("other"), ids=by_name)
def test_text_of_another_program_is_rejected(file: Path) -> None:
    with pytest.raises(ParseError) as caught:
        smapskit.load(file)
    assert (caught.value.source, caught.value.line_number is None) == (str(file), False)


def test_the_first_document_of_the_project_is_in_the_fixtures() -> None:
    seed = CORPUS.parent / "seed" / "pmap-x.txt"
    if not seed.exists():
        pytest.skip("the folder with it does not exist")
    ours = FIXTURES / "document-pmap-x.txt"
    assert ours.read_bytes() == seed.read_bytes()
