"""The steps of CONTRIBUTING.md, followed with an invention of each kind: one place for each."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from support.paths import FIXTURES, RECORDED, ROOT
from support.subjects import unmeasured

SLEEP = (FIXTURES / "sleep" / "smaps.txt").read_text()


@attrs.frozen
class Project:
    """A copy of the project, to change and to run."""

    folder: Path

    def insert(self, module: str, before: str, text: str) -> None:
        """Insert text into a module of the package, before the first place that has `before`."""
        path = self.folder / "src" / "smapskit" / module
        source = path.read_text()
        place = source.index(before)
        path.write_text(source[:place] + text + source[place:])

    def run(self, program: str, text: str = "", *arguments: object) -> Any:
        """Run a program that reads `text` and prints JSON."""
        run = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env={**unmeasured(), "PYTHONPATH": str(self.folder / "src")},
        )
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout or "null")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for folder in ("src", "docs"):
        ignored = shutil.ignore_patterns("_build", "*.png", "__pycache__")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    return Project(tmp_path)


FIELD = """
import json, sys
import jsonschema
import smapskit
text = sys.stdin.read()
snapshot = smapskit.parse_smaps(text)
assert smapskit.format_smaps(snapshot) == text
assert smapskit.parse_frame(text)["warm"].sum() == snapshot.totals().warm
document = json.loads(smapskit.to_json([snapshot]))
jsonschema.validate(document, json.load(open("docs/schema.json")))
recording = smapskit.Recording.load(sys.argv[1])  # made before there was such a field
print(json.dumps({
    "first": snapshot[0].warm,
    "total": snapshot.totals().warm,
    "extra": len(snapshot[0].extra),
    "json": document["snapshots"][0]["mappings"][0]["warm"],
    "csv": "warm" in smapskit.to_csv([snapshot]).splitlines()[0].split(","),
    "frame": str(snapshot.to_frame()["warm"].dtype),
    "column": "Warm" in smapskit.format_pmap(snapshot, "XX").splitlines()[0],
    "recorded": recording.samples[0].totals.warm,
}))
"""


def test_a_field_is_one_line_in_the_model(project: Project) -> None:
    field = '    warm: int | None = _field("Warm", "9.9", "an invented field")\n'
    project.insert("model/mapping.py", "    pmap_dirty: int | None", field)
    project.run("import runpy; runpy.run_path('docs/schema.py', run_name='__main__')")
    text = re.sub(r"(?m)^Locked: .*\n", r"\g<0>Warm:                 12 kB\n", SLEEP)
    assert project.run(FIELD, text, RECORDED / "sequential.csv") == {
        "first": 12,
        "total": 12 * text.count("\nWarm:"),
        "extra": 0,
        "json": 12,
        "csv": True,
        "frame": "int64",
        "column": True,
        "recorded": None,
    }


FLAG = """
import json, sys
import smapskit
(mapping, *_) = smapskit.parse_smaps(sys.stdin.read())
print(json.dumps([smapskit.VM_FLAGS["zz"], list(mapping.vm_flags)]))
"""


def test_a_flag_is_one_line_in_the_model(project: Project) -> None:
    project.insert("model/vmflags.py", '    "rd": ', '    "zz": "an invented flag",\n')
    meaning, flags = project.run(FLAG, re.sub("VmFlags: rd", "VmFlags: zz rd", SLEEP))
    assert meaning == "an invented flag"
    assert flags[:2] == ["zz", "rd"]


DIALECT = """
import json, sys
import smapskit
(mapping,) = smapskit.parse_pmap(sys.stdin.read())
print(json.dumps([mapping.size, mapping.swap, mapping.rss, mapping.pathname]))
"""


def test_a_dialect_is_one_row_of_a_table(project: Project) -> None:
    row = """\
    Dialect(
        "invented",
        ("From", "Kbytes", "Swap", "Resident", "Mode", "What"),
        ("start", "size", "swap", "rss", MODE, NAME),
    ),
"""
    project.insert("formats/pmap/dialects.py", "    Dialect(\n", row)
    text = "From Kbytes Swap Resident Mode What\n00400000 8 1 4 r-x-- a.out\ntotal kB 8 1 4\n"
    assert project.run(DIALECT, text) == [8, 1, 4, "a.out"]


NAME_RULE = """
import json, sys
import smapskit
snapshot = smapskit.parse_smaps(sys.stdin.read())
backings = {m.backing for m in snapshot if m.pathname == "/invented/x"}
frame = snapshot.to_frame()
of_frame = set(frame[frame["pathname"] == "/invented/x"]["backing"])
print(json.dumps([list(backings), list(of_frame), len(snapshot.group_by("backing"))]))
"""


def test_a_name_rule_is_one_row_of_a_table(project: Project) -> None:
    rule = '    NameRule(r"/invented/.*", Backing.SHMEM, "/invented/x", "an invented name"),\n'
    project.insert("model/backing.py", "    NameRule(\n", rule)
    text = SLEEP.replace("/usr/bin/sleep", "/invented/x")
    backings, of_frame, count = project.run(NAME_RULE, text)
    assert backings == of_frame == ["shmem"]
    assert count > 2


KIND_RULE = """
import json, sys
import smapskit
snapshot = smapskit.parse_smaps(sys.stdin.read())
verdicts = [v for m, v in zip(snapshot, snapshot.kinds()) if m.pathname == "/invented/x"]
frame = snapshot.to_frame()
of_frame = set(frame[frame["pathname"] == "/invented/x"]["kind"])
print(json.dumps([list({v.kind for v in verdicts}), list(of_frame), verdicts[0].owner]))
"""


def test_a_kind_rule_is_one_row_of_a_table(project: Project) -> None:
    rule = """\
    KindRule(
        MappingKind.GUEST_MEMORY,
        KindSource.NAME,
        "/invented/x",
        "an invented name",
        "Invention",
        pattern=r"/invented/.*",
    ),
"""
    project.insert("model/kinds.py", "    KindRule(\n        MappingKind.MAIN_HEAP", rule)
    text = SLEEP.replace("/usr/bin/sleep", "/invented/x")
    found = [["guest memory"], ["guest memory"], "Invention"]
    assert project.run(KIND_RULE, text) == found


NOTE = """
import json, sys
import attrs
import jsonschema
import smapskit
snapshot = smapskit.parse_smaps(sys.stdin.read())
noted = attrs.evolve(snapshot, notes=(smapskit.Note.INVENTED,))
document = json.loads(smapskit.to_json([noted]))
jsonschema.validate(document, json.load(open("docs/schema.json")))
print(json.dumps([document["snapshots"][0]["notes"], "something" in noted._repr_html_()]))
"""


def test_a_note_is_one_line_in_the_model(project: Project) -> None:
    project.insert("model/notes.py", "    CRLF = ", '    INVENTED = "something was invented"\n')
    assert project.run(NOTE, SLEEP) == [["something was invented"], True]
