"""Make the sections of docs/cli.md, which is also the man page, from the option parsers."""

from __future__ import annotations

import argparse
import re

from smapskit.cli.commands import ALL, COMMANDS, DEFAULT, build_parsers
from smapskit.cli.common import Parser

_OPTION = re.compile(r"(?<![\w`/-])--?[A-Za-z][\w-]*(?: \w+(?==))?")
_QUOTED = re.compile(r"(?<!\w)'([^']+)'(?!\w)")
_FILE = re.compile(r"(?<![\w/])(?:docs)?/[\w./-]*\w|~/\.\w+")


def sections() -> dict[str, str]:
    """Return the generated parts of the page, in Markdown, by name."""
    parsers = build_parsers()
    return {
        "synopsis": _block("\n".join(line for p in parsers.values() for line in _usages(p))),
        "commands": _definitions([(f"smapskit {name}", text) for name, text in COMMANDS.items()]),
        "options": "\n".join(_command(name, parser) for name, parser in parsers.items()),
        "examples": "\n".join(_examples(name, parser) for name, parser in parsers.items()),
    }


def _usages(parser: Parser) -> list[str]:
    text = parser.format_usage().removeprefix("usage: ")
    # The usage of the default command names the others, which have their own.
    others = ("smapskit COMMAND [options] ...", f"smapskit {ALL} [options]")
    return [line for each in text.splitlines() if (line := each.strip()) not in others]


def _title(name: str) -> str:
    return {DEFAULT: "smapskit PID|CAPTURE", ALL: "smapskit --all"}.get(name, f"smapskit {name}")


def _block(text: str) -> str:
    return f"```text\n{text}\n```\n"


def _definitions(entries: list[tuple[str, str]]) -> str:
    return "\n".join(f"`{term}`\n: {_markdown(text)}\n" for term, text in entries)


def _command(name: str, parser: Parser) -> str:
    parts = [f"### {_title(name)}\n", f"{_markdown(parser.description or '')}\n"]
    for group in parser._action_groups:  # noqa: SLF001  argparse has no other list of them
        actions = [a for a in group._group_actions if a.help != argparse.SUPPRESS]  # noqa: SLF001
        if not actions:
            continue
        title = group.title or ""
        if title not in ("options", "positional arguments"):
            parts.append(f"{title[:1].upper()}{title[1:]}:\n")
        for action in actions:
            terms = ", ".join(f"`{term}`" for term in _terms(action))
            parts.append(f"{terms}\n: {_markdown((action.help or '').replace('%%', '%'))}\n")
    if parser.epilog:
        parts.append(f"{_markdown(parser.epilog)}\n")
    return "\n".join(parts)


def _terms(action: argparse.Action) -> list[str]:
    """Return the names of an option with its value, or what operands are called."""
    metavar = str(action.metavar or "|".join(map(str, action.choices or ())))
    if not action.option_strings:
        return [metavar + (" ..." if action.nargs in ("*", "+") else "")]
    value = "" if action.nargs == 0 else f" {metavar}"
    return [f"{option}{value}" for option in action.option_strings]


def _examples(name: str, parser: Parser) -> str:
    return f"### Examples of {_title(name)}\n\n{_definitions(list(parser.examples))}"


def _markdown(text: str) -> str:
    """Return a help text with its options, files and quoted words as code."""
    quoted = _QUOTED.sub(r"`\1`", text)
    parts = quoted.split("`")
    for at in range(0, len(parts), 2):
        escaped = re.sub(r"([*_<>\[\]])", r"\\\1", parts[at])
        parts[at] = _FILE.sub(r"`\g<0>`", _OPTION.sub(r"`\g<0>`", escaped)).replace("...", "…")
    return "`".join(parts).replace("…", "...")
