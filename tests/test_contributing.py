"""The steps of CONTRIBUTING.md, followed for a field and a pmap that nobody has yet."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import smapskit
from conftest import FIXTURES, unmeasured
from smapskit.formats.pmap import read
from smapskit.formats.pmap.columns import MODE, NAME
from smapskit.formats.pmap.dialects import DIALECTS, Dialect

ROOT = Path(__file__).parent.parent
FIELD = '    warm: int | None = _field("Warm", "9.9", "an invented field")\n'
PROGRAM = """
import io, json, sys
import jsonschema
import smapskit
from smapskit.views.exports import to_json
text = sys.stdin.read()
snapshot = smapskit.parse_smaps(text)
assert smapskit.format_smaps(snapshot) == text
assert smapskit.parse_frame(text)["warm"].sum() == snapshot.totals().warm
document = json.loads(to_json([snapshot]))
jsonschema.validate(document, json.load(open("docs/schema.json")))
recording = smapskit.Recording.load(sys.argv[1])  # made before there was such a field
print(json.dumps({
    "first": snapshot[0].warm,
    "total": snapshot.totals().warm,
    "extra": len(snapshot[0].extra),
    "json": document["snapshots"][0]["mappings"][0]["warm"],
    "frame": str(snapshot.to_frame()["warm"].dtype),
    "column": "Warm" in smapskit.format_pmap(snapshot, "XX").splitlines()[0],
    "recorded": recording.samples[0].totals.warm,
}))
"""


def test_a_field_is_one_line_in_records(tmp_path: Path) -> None:
    for folder in ("src", "docs"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("_build", "*.png")
        )
    records = tmp_path / "src" / "smapskit" / "records.py"
    source = records.read_text()
    place = source.index("    pmap_dirty: int | None")
    records.write_text(source[:place] + FIELD + source[place:])
    env = {**unmeasured(), "PYTHONPATH": str(tmp_path / "src")}
    subprocess.run([sys.executable, "docs/schema.py"], cwd=tmp_path, env=env, check=True)

    text = (FIXTURES / "sleep" / "smaps.txt").read_text()
    text = re.sub(r"(?m)^Locked: .*\n", r"\g<0>Warm:                 12 kB\n", text)
    recorded = ROOT / "examples" / "pageout" / "recorded" / "sequential.csv"
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(recorded)],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=env,
    )
    assert ran.returncode == 0, ran.stderr
    count = len(smapskit.parse_smaps(text))
    assert json.loads(ran.stdout) == {
        "first": 12,
        "total": 12 * count,
        "extra": 0,
        "json": 12,
        "frame": "int64",
        "column": True,
        "recorded": None,
    }


def test_a_dialect_is_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    invented = Dialect(
        "invented",
        ("From", "Kbytes", "Swap", "Resident", "Mode", "What"),
        ("start", "size", "swap", "rss", MODE, NAME),
    )
    monkeypatch.setattr(read, "DIALECTS", (invented, *DIALECTS))
    text = "From Kbytes Swap Resident Mode What\n00400000 8 1 4 r-x-- a.out\ntotal kB 8 1 4\n"
    (mapping,) = smapskit.parse_pmap(text)
    assert (mapping.size, mapping.swap, mapping.rss, mapping.pathname) == (8, 1, 4, "a.out")
