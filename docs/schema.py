"""
Bring docs/schema.json up to the fields that the records have.

    python docs/schema.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from smapskit.model.mapping import COUNTERS, Mapping, kernel_fields

SCHEMA = Path(__file__).parent / "schema.json"


def main() -> None:
    schema = json.loads(SCHEMA.read_text())
    known = {field.attribute: field for field in kernel_fields(Mapping).values()}
    figures = [name for name, field in known.items() if field.unit != "codes"]
    _complete(schema["$defs"]["mapping"], figures, known)
    _complete(schema["$defs"]["totals"], [name for name in COUNTERS if name in known], known)
    SCHEMA.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n")


def _complete(definition: dict[str, Any], names: list[str], known: dict[str, Any]) -> None:
    for name in names:
        if name not in definition["properties"]:
            field = known[name]
            unit = f", {field.unit}" if field.unit else ""
            definition["properties"][name] = {
                "type": ["integer", "null"],
                "minimum": 0,
                "description": f"{field.kernel_name}{unit}: {field.meaning}",
            }
            definition["required"].append(name)


if __name__ == "__main__":
    main()
