"""Write records as the kernel's own text."""

from __future__ import annotations

from smapskit.formats.smaps.files import SMAPS
from smapskit.formats.smaps.layout import default_layout, header_line
from smapskit.model.snapshot import Snapshot


def format_smaps(snapshot: Snapshot) -> str:
    """
    Write a snapshot as the kernel's own text.

    The result is byte for byte what `parse_smaps` or `parse_maps` parsed if that had the column
    layout of kernels 4.x to 6.x. Of other texts it has every mapping and every field, in their
    order. Encode it with errors="surrogateescape".
    """
    layout = snapshot.layout or default_layout(snapshot)
    fields = [(style, SMAPS.fields.get(style.name)) for style in layout.fields]
    lines = []
    for mapping in snapshot:
        lines.append(header_line(mapping, layout))
        for style, known in fields:
            value = getattr(mapping, known.attribute) if known else mapping.extra.get(style.name)
            if value is not None:
                lines.append(style.write(value))
    lines.append("")
    return "\n".join(lines)
