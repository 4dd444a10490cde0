"""Strategies for generated texts: as kernels write them, and damaged ones."""

from __future__ import annotations

from hypothesis import strategies as st

from smapskit.model.mapping import Mapping, kernel_fields

KERNEL_FIELDS = kernel_fields(Mapping)
_FLAG = st.text("abcdefghijklmnopqrstuvwxyz?", min_size=2, max_size=2)

# A path is any bytes but a newline; the kernel pads, so that none begins or is blank.
_PATH_BYTES = st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"\\012"))
NAMES = st.one_of(
    st.just(b""),
    st.sampled_from(
        [b"[heap]", b"[stack]", b"[vdso]", b"/memfd:x (deleted)", b"socket:[1]", b"[anon:a b]"]
    ),
    _PATH_BYTES.map(lambda raw: b"/" + raw),
)
FIGURES = st.one_of(st.just(0), st.integers(0, 9999), st.integers(0, 2**53 - 1))
UNKNOWN_NAMES = st.from_regex(r"[A-Z][a-zA-Z_]{2,12}", fullmatch=True).filter(
    lambda name: name not in KERNEL_FIELDS
)


@st.composite
def headers(draw: st.DrawFn, start: int, end: int) -> bytes:
    perms = "".join(draw(st.sampled_from(pair)) for pair in ("r-", "w-", "x-", "sp"))
    offset = draw(st.integers(0, 2**64 - 1))
    major, minor = draw(st.integers(0, 2**12)), draw(st.integers(0, 2**20))
    inode = draw(st.integers(0, 2**64 - 1))
    prefix = f"{start:08x}-{end:08x} {perms} {offset:08x} {major:02x}:{minor:02x} {inode} ".encode()
    name = draw(NAMES)
    return prefix.ljust(72) + b" " + name if name else prefix


@st.composite
def fields(draw: st.DrawFn, names: list[str]) -> list[bytes]:
    lines = []
    for name in names:
        known = KERNEL_FIELDS.get(name)
        if known is not None and known.unit == "codes":
            lines.append(b"VmFlags: " + b"".join(f"{f} ".encode() for f in draw(st.lists(_FLAG))))
        else:
            unit = " kB" if known is None or known.unit == "kB" else ""
            prefix = f"{name}: ".ljust(16)
            lines.append(f"{prefix}{draw(FIGURES):{24 - len(prefix)}d}{unit}".encode())
    return lines


@st.composite
def smaps(draw: st.DrawFn, *, uniform: bool | None = None) -> bytes:
    """Draw a smaps text in the kernel's layout; uniform: the same fields in every record."""
    # Every kernel writes Size in every record; all other fields are optional.
    others = draw(st.permutations([name for name in KERNEL_FIELDS if name != "Size"]))
    known = ["Size", *others[: draw(st.integers(0, len(others)))]]
    unknown = draw(st.lists(UNKNOWN_NAMES, max_size=2, unique=True))
    names = draw(st.permutations([*known, *unknown]))
    # One field is in some records only, as Nonlinear was and Android's Name is.
    sometimes = names[draw(st.integers(0, len(names) - 1))]
    same = (draw(st.booleans()) if uniform is None else uniform) or sometimes in (
        "Size",
        names[-1],  # without its last field a record counts as truncated
    )
    records = []
    # Ascending: a mapping completely below the one before it begins another process.
    count = draw(st.integers(0, 4))
    addresses = st.lists(st.integers(0, 2**64 - 1), min_size=2 * count, max_size=2 * count)
    ordered = sorted(draw(addresses.filter(lambda found: len(set(found)) == len(found))))
    for start, end in zip(ordered[::2], ordered[1::2], strict=True):
        some = [name for name in names if same or name != sometimes or draw(st.booleans())]
        records.append(b"\n".join([draw(headers(start, end)), *draw(fields(some)), b""]))
    return b"".join(records)


@st.composite
def mutated(draw: st.DrawFn, text: bytes) -> bytes:
    """Return `text` after some damage: bytes changed, inserted, deleted, doubled, truncated."""
    data = bytearray(text)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["change", "insert", "delete", "double", "cut", "head"]))
        length = draw(st.integers(1, 60))
        junk = draw(st.binary(min_size=1, max_size=8))
        if kind == "change":
            data[at : at + len(junk)] = junk
        elif kind == "insert":
            data[at:at] = draw(st.sampled_from([junk, b"\n", b" ", b"-", b":", b"\xff", b"\r\n"]))
        elif kind == "delete":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
        elif kind == "cut":
            del data[at:]
        else:
            del data[:at]
    return bytes(data)
