"""Names that could harm a terminal, a spreadsheet or a browser."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.subjects import MAPPER

import smapskit
from smapskit import cli
from smapskit.text import UNPRINTABLE
from smapskit.views import plots

if sys.platform != "linux":
    pytest.skip("looks at live processes", allow_module_level=True)


NAMES = {
    "escape sequences": b"\x1b]0;gone\x07\x1b[31mred\x9b32m",
    "a newline": b"two\nlines",
    "no UTF-8": b"\xff\xfe\x80",
    "right to left": "\u202egnp.exe \u2066x".encode(),
    "called deleted": b"x (deleted)",
    "called stack": b" [stack]",
    "a formula": b"=1+cmd|' calc'!A0",
    "another formula": b"@SUM(1)",
    "markup": b"<img src=x onerror=alert(1)>&amp;",
    "mathematics": b"$x^2$ \\frac{1}{2}",
    "quotes": b"\"',;\t",
    "a long one": b"n" * 255,
}


def test_hostile_names_are_escaped_and_kept(
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = [str(tmp_path / os.fsdecode(name)) for name in NAMES.values()]
    pid = start(sys.executable, "-c", MAPPER, *paths).pid
    snapshot = smapskit.read(pid)
    mapped = [m for m in snapshot if m.is_shared and m.size == 8]
    # The kernel writes a newline as \\012 and nothing else otherwise.
    expected = {path.replace("\n", "\\012") for path in paths}
    assert {mapping.pathname for mapping in mapped} == expected
    assert all(mapping.backing is not None for mapping in mapped)

    assert cli.main(["-p", str(pid)]) == 0
    table = capsys.readouterr().out
    assert not re.search(f"[{UNPRINTABLE}]", table.replace("\n", ""))
    assert table.count("\n") == len(snapshot) + 4

    assert cli.main(["--json", str(pid)]) == 0
    told = json.loads(capsys.readouterr().out)["snapshots"][0]["mappings"]
    assert set(map(os.fsencode, expected)) <= {
        base64.b64decode(each["pathname_base64"])
        if "pathname_base64" in each
        else each["pathname"].encode()
        for each in told
    }

    assert cli.main(["--csv", str(pid)]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(rows) == len(snapshot)
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "@", "+")]

    html = snapshot._repr_html_()
    assert not re.search(f"[{UNPRINTABLE}]", html.replace("\n", ""))
    assert "<img" not in html

    picture = tmp_path / "picture.svg"
    plots.plot_snapshot(snapshot, "pathname").savefig(picture)
    assert "<img" not in picture.read_text(encoding="utf-8")

    frame = snapshot.to_frame()
    assert expected <= set(frame["pathname"])
    assert smapskit.Snapshot.from_frame(frame).mappings == snapshot.mappings
