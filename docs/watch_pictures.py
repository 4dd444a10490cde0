"""
Draw the screen of `watch` for the documentation, from a recording.

    python docs/watch_pictures.py [FOLDER]

Requires textual. The pictures name no font of the network, so that they look the same offline.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from typing import Final

from smapskit.sources.recording import Recording
from smapskit.watch import actions
from smapskit.watch.feed import Replay
from smapskit.watch.screen import WatchApp

HERE: Final = Path(__file__).parent
RECORDINGS: Final = HERE.parent / "examples" / "pageout" / "recorded"
_FONT_FACE: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_COMMENT: Final = re.compile(r"<!--.*?-->\s*", re.DOTALL)
_FAMILY: Final = re.compile(r"font-family: [^;]*;")
_GENERATED: Final = re.compile(r"terminal-[0-9]+")
"""The prefix of all classes, a checksum of the text."""


def main(folder: Path = HERE) -> None:
    """Draw all of them."""
    for name, keys in (
        ("watch", ["end", "left", "left"]),
        ("watch-explain", ["end", "e"]),
    ):
        svg = asyncio.run(draw(RECORDINGS / "swap.csv", keys))
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")


async def draw(path: Path, keys: list[str]) -> str:
    """Return the screen after some keys, as SVG."""
    recording = Recording.load(path)
    replay = Replay(recording)
    app = WatchApp(
        path.name,
        replay.samples[0],
        recording.by or "mappings",
        lambda _sample: actions.explain_recording(recording, path.name),
        lambda sample: actions.save(sample, 0, HERE),
        replay=replay,
    )
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("p", *keys)
        await app.workers.wait_for_complete()
        await pilot.pause()
        return without_fonts(app.export_screenshot(title=f"smapskit watch {path.name}"))


def without_fonts(svg: str) -> str:
    """Return a picture with the browser's monospace font in place of one of the network."""
    svg = _COMMENT.sub("", svg)
    svg = _FAMILY.sub("font-family: monospace;", _FONT_FACE.sub("", svg))
    return _GENERATED.sub("watch", svg)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
