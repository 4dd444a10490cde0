"""Facts of the machine and of the limits of a process, which smaps does not contain."""

from __future__ import annotations

import math
from typing import Any, Final

import attrs

UNLIMITED: Final = math.inf
"""The value of a limit that is not set."""
THP_MODES: Final = ("always", "madvise", "never")
_MAY_BE_ZERO: Final = ("stack_limit", "page_tables")
"""Facts that can be 0 of a process that runs."""


def _fact(unit: str, source: str, example: str) -> Any:
    """Declare a fact: its unit, the file that has it, and an example for the help text."""
    metadata = {"unit": unit, "source": source, "example": example}
    return attrs.field(default=None, metadata=metadata)


@attrs.frozen(kw_only=True)
class Context:
    """
    Facts that rules of `explain` need besides the mappings. None: not known.

    `read_context` reads them for a live process. For a capture, give those of the machine on
    which it was made. A limit that is not set is `math.inf`.
    """

    max_map_count: float | None = _fact("count", "/proc/sys/vm/max_map_count", "65530")
    """The largest number of mappings that a process may have."""
    page_size: int | None = _fact("kB", "sysconf(_SC_PAGESIZE)", "4")
    """Size of a base page, in kB."""
    thp_mode: str | None = _fact("", "/sys/kernel/mm/transparent_hugepage/enabled", "madvise")
    """When anonymous memory gets transparent huge pages: "always", "madvise" or "never"."""
    mem_total: int | None = _fact("kB", "MemTotal in /proc/meminfo", "16384000")
    """Memory of the machine, in kB."""
    stack_limit: float | None = _fact("kB", "RLIMIT_STACK in /proc/PID/limits", "8192")
    """How far the main thread's stack may grow, in kB (ulimit -s)."""
    address_space_limit: float | None = _fact("kB", "RLIMIT_AS in /proc/PID/limits", "unlimited")
    """The largest sum of the sizes of all mappings, in kB (ulimit -v)."""
    page_tables: int | None = _fact("kB", "VmPTE in /proc/PID/status", "512")
    """Memory of the page tables of the process, in kB; not counted in its RSS."""

    def __attrs_post_init__(self) -> None:
        if self.thp_mode is not None and self.thp_mode not in THP_MODES:
            msg = f"expected thp_mode {', '.join(THP_MODES)}, got {self.thp_mode!r}"
            raise ValueError(msg)

    @classmethod
    def parse(cls, facts: dict[str, str]) -> Context:
        """
        Return the context of facts given as text, as `explain --context NAME=VALUE` does.

        Args:
            facts: by name; numbers are whole, and a limit may be "unlimited".

        Raises:
            ValueError: an unknown name, or a value that the fact cannot have.
        """
        known = {field.name: field for field in attrs.fields(cls)}
        values: dict[str, Any] = {}
        for name, text in facts.items():
            if name not in known:
                msg = f"expected a fact, one of {', '.join(known)}, got {name!r}"
                raise ValueError(msg)
            if name == "thp_mode":
                values[name] = text
            elif text == "unlimited" and name.endswith(("_limit", "_count")):
                values[name] = UNLIMITED
            else:
                values[name] = _number(name, text, known[name].metadata["unit"])
        return cls(**values)


def _number(name: str, text: str, unit: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) < 20  # noqa: PLR2004
    value = int(text) if is_number else -1
    if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        of_unit = "" if unit == "count" else f" of {unit}"
        above = "" if name in _MAY_BE_ZERO else " above 0"
        msg = f"expected a whole number{of_unit}{above} for {name}, got {text[:40]!r}"
        raise ValueError(msg)
    return value
