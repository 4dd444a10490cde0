"""
Check the built API reference: every public name has an anchor, every entry an example.

    python docs/check_api.py docs/_build/html

It also rejects signatures that show how a record is built (`attr_dict[...]`), and the text of
another class in an entry (of `str`, for the members of an enum). sphinx-build runs it at the end.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.util.inventory import InventoryFile

import smapskit

PAGE = Path(__file__).parent / "api.md"
FOREIGN_TEXT = {
    "attr_dict": "a signature as attrs generates it",
    ">Return type<": "a sentence after Returns that was split at its colon",
    ">Type:<": "the text of an attribute that was split at its colon",
    "str(object=": "the docstring of str",
    "Create and return a new object": "the docstring of object",
    "Return number of occurrences of value": "the docstring of a sequence",
}


def problems(html: Path) -> list[str]:
    """Return what is missing or wrong in the documentation built in a folder."""
    with (html / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda base, path: base + path)
    anchors = {name for kind in inventory for name in inventory[kind] if kind.startswith("py:")}
    built = (html / "api.html").read_text()
    found = [
        f"api.md: smapskit.{name} has no entry"
        for name in smapskit.__all__
        if f"smapskit.{name}" not in anchors
    ]
    found += without_example(PAGE.read_text())
    found += [
        f"api.html contains {why}: {text}" for text, why in FOREIGN_TEXT.items() if text in built
    ]
    return found


def without_example(page: str) -> list[str]:
    """Return the entries of a page that no example follows that uses them."""
    found = []
    for entry in re.split(r"(?m)^```\{eval-rst\}\n", page)[1:]:
        directives, _, text = entry.partition("\n```\n")
        examples = "\n".join(re.findall(r"(?ms)^```python\n(.*?)^```", text))
        for name in re.findall(r"(?m)^\.\. (?:auto\w+|py:data):: (\S+)", directives):
            used = name.removeprefix("smapskit.")
            # What is not public is used through a method, of another name.
            pattern = rf"\b{re.escape(used)}\b" if "." not in used else ">>>"
            if not re.search(pattern, examples):
                found.append(f"api.md: no example with {name} follows its entry")
    return found


def main() -> int:
    """Print what is missing; return the exit status."""
    found = problems(Path(sys.argv[1]))
    print(
        "\n".join(found) or f"{len(smapskit.__all__)} public names, and an example after each entry"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
