"""
Take the picture of a report for the documentation, with Chromium.

    python docs/report_picture.py

It is taken for a light and for a dark page: report.png and report-dark.png.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import attrs

import smapskit
from smapskit.analysis.explain import examine
from smapskit.views.findings import Report
from smapskit.views.report.page import About, snapshot_page

HERE = Path(__file__).parent
CAPTURE = HERE.parent / "tests" / "fixtures" / "runtimes" / "firefox.smaps.gz"
SIZE = "1240,2640"
SCHEMES = {"report.png": "1", "report-dark.png": "0"}
"""Chromium's number of the colour scheme, by the name of the picture."""


def main() -> int:
    """Take both pictures."""
    snapshot = attrs.evolve(smapskit.load(CAPTURE), pid=2271, command="firefox-esr")
    about = About(
        report=Report(
            subject="process",
            explanation=examine(snapshot),
            pid=snapshot.pid,
            command=snapshot.command,
            source=CAPTURE.name,
        ),
        created=datetime(2026, 11, 24, 12, tzinfo=UTC),
    )
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_text(snapshot_page(snapshot, about))
        for name, scheme in SCHEMES.items():
            command = [
                "chromium",
                "--headless=new",
                "--no-sandbox",  # which root may not have
                "--hide-scrollbars",
                f"--user-data-dir={folder}/profile",
                f"--blink-settings=preferredColorScheme={scheme}",
                f"--window-size={SIZE}",
                f"--screenshot={HERE / name}",
                page.as_uri(),
            ]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)  # noqa: S603
    return 0


if __name__ == "__main__":
    sys.exit(main())
