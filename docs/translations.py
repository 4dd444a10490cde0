"""
List sections of the Japanese pages whose English original has changed since it was translated.

    python docs/translations.py             exit status 1 if a section is out of date
    python docs/translations.py --accept    after the Japanese was updated: store the present state

Before each heading, a Japanese page stores a hash of the English section in a comment:
`<!-- en: 0123456789ab -->`. Sections are in the same order in both languages.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from itertools import zip_longest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    ROOT / "README.md": ROOT / "README.ja.md",
    ROOT / "docs" / "pageout.md": ROOT / "docs" / "pageout.ja.md",
}
"""The Japanese page of each English one."""
_STATE = re.compile(r"<!-- en: (\w+) -->\n")


def main() -> int:
    """Check the pages, or accept their present state; return the exit status."""
    parser = argparse.ArgumentParser(
        description="List sections of the Japanese pages whose English original has changed."
    )
    parser.add_argument(
        "--accept", action="store_true", help="the Japanese is up to date: store this"
    )
    options = parser.parse_args()
    if options.accept:
        for english, japanese in PAGES.items():
            japanese.write_text(accept(english.read_text(), japanese.read_text()))
    found = [
        f"{japanese.relative_to(ROOT)}: {problem}"
        for english, japanese in PAGES.items()
        for problem in problems(english.read_text(), japanese.read_text())
    ]
    print("\n".join(found) or "the Japanese pages are up to date")
    if found:
        print("Translate these sections, then run: python docs/translations.py --accept")
    return 1 if found else 0


def sections(page: str) -> list[str]:
    """Split a page before each heading, without the comments that store hashes."""
    code = [match.span() for match in re.finditer(r"(?ms)^```.*?^```$", page)]
    starts = [
        match.start()
        for match in re.finditer(r"(?m)^#+ ", page)
        if not any(start < match.start() < end for start, end in code)
    ]
    ends = [*starts[1:], len(page)]
    return [
        _STATE.sub("", page[start:end]).strip() for start, end in zip(starts, ends, strict=True)
    ]


def problems(english: str, japanese: str) -> list[str]:
    """Return what is out of date in a Japanese page."""
    stored = _STATE.findall(japanese)
    originals, translated = sections(english), sections(japanese)
    if not len(originals) == len(translated) == len(stored):
        first = _first_difference(originals, stored)
        found = f"{len(translated)} with {len(stored)} hashes; the first that differs: {first}"
        return [f"expected {len(originals)} sections, got {found}"]
    found = []
    for original, translation, state in zip(originals, translated, stored, strict=True):
        if digest(original) != state:
            found.append(f"out of date: {title(original)!r}")
        if code_blocks(original) != code_blocks(translation):
            found.append(f"the code blocks differ from the English ones: {title(original)!r}")
    return found


def _first_difference(originals: list[str], stored: list[str]) -> str:
    for original, state in zip_longest(originals, stored):
        if original is None or digest(original) != state:
            return "the end" if original is None else repr(title(original))
    return "the number of Japanese headings"


def accept(english: str, japanese: str) -> str:
    """Return a Japanese page with the hashes of the present English sections."""
    originals, translated = sections(english), sections(japanese)
    if len(originals) != len(translated):
        raise SystemExit(f"expected {len(originals)} sections, got {len(translated)}")
    preamble, _, _ = _STATE.sub("", japanese).partition(translated[0])
    marked = (
        f"<!-- en: {digest(original)} -->\n{translation}"
        for original, translation in zip(originals, translated, strict=True)
    )
    return preamble + "\n\n".join(marked) + "\n"


def digest(section: str) -> str:
    """Return a hash of a section; line breaks within a paragraph do not matter."""
    return hashlib.sha256(" ".join(section.split()).encode()).hexdigest()[:12]


def title(section: str) -> str:
    """Return the heading of a section."""
    return section.partition("\n")[0].lstrip("# ")


def code_blocks(section: str) -> list[str]:
    """Return the fenced blocks of a section."""
    return re.findall(r"(?ms)^```.*?^```$", section)


if __name__ == "__main__":
    sys.exit(main())
