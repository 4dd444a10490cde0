"""
Update docs/schema.json from the records: names, meanings and units of fields, and classes.

    python docs/schema.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from smapskit.model.backing import Backing, Sharing
from smapskit.model.kinds import KindSource, MappingKind
from smapskit.model.mapping import COUNTERS, Mapping, kernel_fields

SCHEMA = Path(__file__).parent / "schema.json"
CLASSES = {
    "backing": [*Backing, None],
    "sharing": [*Sharing],
    "kind": [*MappingKind],
    "kind_source": [*KindSource],
}
"""The classes of a mapping, with their values."""


def main() -> None:
    """Update the schema."""
    schema = json.loads(SCHEMA.read_text())
    known = {field.attribute: field for field in kernel_fields(Mapping).values()}
    integers = [name for name, field in known.items() if field.unit != "codes"]
    _update(schema["$defs"]["mapping"], integers, known)
    mapping = schema["$defs"]["mapping"]
    for name, values in CLASSES.items():
        mapping["properties"][name] = {"enum": values}
        if name not in mapping["required"]:
            mapping["required"].append(name)
    _update(schema["$defs"]["totals"], [name for name in COUNTERS if name in known], known)
    SCHEMA.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n")


def _update(definition: dict[str, Any], names: list[str], known: dict[str, Any]) -> None:
    for name in names:
        field = known[name]
        unit = f", {field.unit}" if field.unit else ""
        if name not in definition["properties"]:
            definition["properties"][name] = {"type": ["integer", "null"], "minimum": 0}
            definition["required"].append(name)
        definition["properties"][name]["description"] = (
            f"{field.kernel_name}{unit}: {field.meaning}"
        )


if __name__ == "__main__":
    main()
