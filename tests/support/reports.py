"""Reads the HTML file of a report, as a browser would."""

from __future__ import annotations

import functools
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs

from smapskit import Mapping, Snapshot
from smapskit.views.columns import label
from support.records import mapping

HOSTILE_NAMES = (
    "/x/</script><script>document.title='owned'</script>",
    "/x/<img src=x onerror=\"document.title='owned'\">",
    "/x/<!--<script>",
    "/x/]]></style></title></textarea>",
    "/x/\" onmouseover=\"document.title='owned'\" '",
    "/x/&lt;b&gt;&amp;&#60;",
    "/x/\u202egnp.exe\u202c \u2066isolate",
    "/x/line\u2028separator\u2029paragraph",
    "/x/\x1b]0;title\x07\x00\x9b31m\t\r",
    "/x/not-utf8-\udcff\udc80",
    "/x/lone-\ud800-surrogate",
    "/x/שלום/مرحبا/☃.so",
    "__proto__",
    "constructor",
    '=HYPERLINK("https://example.invalid")',
    "https://example.invalid/x.js",
)
"""Names that would do harm as HTML, as a script, or where text has a direction."""


def hostile_snapshot() -> Snapshot:
    """Return a snapshot with hostile names, and a hostile command."""
    mappings = [
        mapping(
            0x7F0000000000 + number * 0x100000,
            size=64,
            perms="r--p",
            name=name,
            rss=4 * (number + 1),
            pss=2 * (number + 1),
        )
        for number, name in enumerate(HOSTILE_NAMES)
    ]
    return Snapshot(tuple(mappings), pid=1, command="".join(HOSTILE_NAMES), notes=HOSTILE_NAMES)


@functools.cache
def large_snapshot(count: int = 65_530) -> Snapshot:
    """Return a snapshot with many mappings, of which some have names and gaps before them."""
    mappings, start = [], 0x7F0000000000
    perms = ("rw-p", "r--p", "r-xp", "---p", "rw-s")
    sizes = (4, 8, 64, 132, 1024)
    for number in range(count):
        size = sizes[number * 7 % 5]
        name = f"/srv/data/part-{number % 3000}.bin" if number % 3 == 0 else ""
        mappings.append(
            mapping(
                start,
                size,
                perms[number % 5],
                name,
                rss=number * 4 % (size + 4),
                pss=number * 2 % (size + 2),
                swap=4 * (number % 9 == 0),
            )
        )
        start += size * 1024 + 4096 * (number % 4 == 0)
    return Snapshot(tuple(mappings), pid=65530, command="many")


@attrs.define
class ReportPage(HTMLParser):
    """A page that has been parsed."""

    source: str
    tags: list[tuple[str, dict[str, str | None]]] = attrs.field(factory=list)
    contents: dict[str, list[str]] = attrs.field(factory=dict)
    """The text directly inside of elements, by tag."""
    _open: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        HTMLParser.__init__(self, convert_charrefs=True)
        self.feed(self.source)
        self.close()

    @classmethod
    def load(cls, path: Path) -> ReportPage:
        return cls(path.read_bytes().decode("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self._open.append(tag)
        self.contents.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.contents[self._open[-1]][-1] += data

    @property
    def text(self) -> str:
        """All text but that of scripts and styles."""
        hidden = ("script", "style")
        return "\n".join(
            text for tag, texts in self.contents.items() if tag not in hidden for text in texts
        )

    @property
    def policy(self) -> dict[str, str]:
        """The Content-Security-Policy: values by directive."""
        (content,) = (
            attributes["content"]
            for tag, attributes in self.tags
            if attributes.get("http-equiv") == "Content-Security-Policy"
        )
        directives = (each.strip().partition(" ") for each in (content or "").split(";"))
        return {name: value for name, _, value in directives}

    @property
    def data(self) -> dict[str, Any]:
        """The data of the script."""
        (text,) = (
            text
            for (_, attributes), text in zip(
                (each for each in self.tags if each[0] == "script"),
                self.contents["script"],
                strict=True,
            )
            if attributes.get("type") == "application/json"
        )
        decoded: dict[str, Any] = json.loads(text)
        return decoded

    def table(self, name: str) -> dict[str, list[Any]]:
        """Return the values of each column of a table."""
        (table,) = (each for each in self.data["tables"] if each["id"] == name)
        return {each["name"]: _decode(each, table["count"]) for each in table["columns"]}


def _decode(column: dict[str, Any], count: int) -> list[Any]:
    if column["type"] == "range":
        ranges, last = [], 0
        for gap, length in zip(column["gaps"].split(), column["lengths"].split(), strict=True):
            start = last + int(gap, 16)
            last = start + int(length, 16)
            ranges.append((start, last))
        return ranges
    values = column["values"]
    values = values if isinstance(values, list) else [values] * count
    return [column["texts"][value] for value in values] if column["type"] == "text" else values


def labels(mappings: tuple[Mapping, ...]) -> list[str]:
    """Return the names as a report shows them."""
    return [label(each.pathname) for each in mappings]
