"""Records to the kernel's own text."""

from __future__ import annotations

from smapskit.formats.smaps.files import SMAPS
from smapskit.formats.smaps.layout import header_line
from smapskit.model.snapshot import Snapshot, default_layout


def format_smaps(snapshot: Snapshot) -> str:
    """
    Write the kernel's own text again.

    Byte for byte what `parse_smaps` or `parse_maps` read where that had the column layout
    of kernels 4.x to 6.x; of other texts every mapping and every field, in the order that
    they had. Encode it with errors="surrogateescape".
    """
    layout = snapshot.layout or default_layout(snapshot)
    fields = [(style, SMAPS.table.get(style.name)) for style in layout.fields]
    out = []
    for mapping in snapshot:
        out.append(header_line(mapping, layout))
        for style, known in fields:
            value = getattr(mapping, known.attribute) if known else mapping.extra.get(style.name)
            if value is not None:
                out.append(style.write(value))
    out.append("")
    return "\n".join(out)
