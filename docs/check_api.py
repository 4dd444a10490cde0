"""
Check the built API reference: every public name has an anchor and an example.

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
    examples = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    built = (html / "api.html").read_text()
    found = []
    for name in smapskit.__all__:
        if f"smapskit.{name}" not in anchors:
            found.append(f"api.md: smapskit.{name} has no entry")
        if not re.search(rf"\b{re.escape(name)}\b", examples):
            found.append(f"api.md: smapskit.{name} has no example")
    found += [
        f"api.html contains {why}: {text}" for text, why in FOREIGN_TEXT.items() if text in built
    ]
    return found


def main() -> int:
    """Print what is missing; return the exit status."""
    found = problems(Path(sys.argv[1]))
    print("\n".join(found) or f"{len(smapskit.__all__)} public names have an entry and an example")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
