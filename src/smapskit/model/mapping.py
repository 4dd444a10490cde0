"""
Typed records: one mapping, or the kernel's sums over a process.

Sizes are integers in kB (1 kB = 1,024 bytes, the kernel's unit), addresses are integers.
What a source does not report is None, never 0: `pmap -x` reports no Pss, kernel 2.6.14 no Swap.

`Usage` declares each counter that may be summed once, with the kernel's name. Parsers, totals,
frames, exports and the field table of the documentation derive from that declaration
(`COUNTERS`, `MAPPING_FIELDS`, `kernel_fields`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingOf
from itertools import repeat
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

import attrs

from smapskit.model.backing import Backing, Sharing, backing_of, is_deleted, sharing_of
from smapskit.model.columns import Cache, Columns, columns_of_dicts

T = TypeVar("T")


@attrs.frozen
class Permissions:
    """What the process may do with a mapping; `str()` returns the kernel's four characters."""

    read: bool
    write: bool
    execute: bool
    shared: bool

    @classmethod
    def parse(cls, text: str) -> Permissions:
        """
        Parse the kernel's four characters, such as `rw-s`.

        Raises:
            ValueError: anything else.
        """
        try:
            return _PERMISSIONS[text]
        except KeyError:
            msg = f"expected four characters like 'rw-s' or 'r-xp', got {text!r}"
            raise ValueError(msg) from None

    def __str__(self) -> str:
        return (
            ("r" if self.read else "-")
            + ("w" if self.write else "-")
            + ("x" if self.execute else "-")
            + ("s" if self.shared else "p")
        )


_PERMISSIONS: Final = {
    str(perms): perms
    for perms in (
        Permissions(bool(bits & 8), bool(bits & 4), bool(bits & 2), bool(bits & 1))
        for bits in range(16)
    )
}


@attrs.frozen(order=True)
class Device:
    """The device of the mapped file; `str()` returns `major:minor` in hex."""

    major: int
    minor: int

    @classmethod
    @functools.lru_cache(maxsize=1024)
    def parse(cls, text: str) -> Device:
        """
        Parse `major:minor`, two hexadecimal numbers such as `fe:00` or `103:02`.

        Raises:
            ValueError: anything else.
        """
        major, colon, minor = text.partition(":")
        if not colon:
            msg = f"expected a device like 'fe:00', got {text!r}"
            raise ValueError(msg)
        return cls(int(major, 16), int(minor, 16))

    def __str__(self) -> str:
        return f"{self.major:02x}:{self.minor:02x}"


def _to_permissions(value: Permissions | str) -> Permissions:
    return Permissions.parse(value) if isinstance(value, str) else value


def _to_device(value: Device | str | None) -> Device | None:
    return Device.parse(value) if isinstance(value, str) else value


def _field(kernel_name: str, since: str, meaning: str, *, unit: str = "kB") -> Any:
    """Declare a field: the kernel's name for it, the first kernel with it, its meaning."""
    metadata = {"kernel_name": kernel_name, "since": since, "meaning": meaning, "unit": unit}
    return attrs.field(default=None, metadata=metadata)


@attrs.define(kw_only=True)
class Usage:
    """
    The counters that may be summed, in kB and in the kernel's order; common to all records.

    None means that the source does not report the counter. The meanings are those of proc(5)
    and of the kernel's Documentation/filesystems/proc.rst.
    """

    rss: int | None = _field(
        "Rss", "2.6.14", "resident in memory, including pages that other processes map too"
    )
    pss: int | None = _field(
        "Pss", "2.6.25", "resident, each page divided by the number of processes mapping it"
    )
    pss_dirty: int | None = _field("Pss_Dirty", "6.0", "the part of Pss that is dirty")
    shared_clean: int | None = _field(
        "Shared_Clean", "2.6.14", "resident, mapped by several page tables, not modified"
    )
    shared_dirty: int | None = _field(
        "Shared_Dirty", "2.6.14", "resident, mapped by several page tables, modified"
    )
    private_clean: int | None = _field(
        "Private_Clean", "2.6.14", "resident, mapped by this process alone, not modified"
    )
    private_dirty: int | None = _field(
        "Private_Dirty", "2.6.14", "resident, mapped by this process alone, modified"
    )
    referenced: int | None = _field("Referenced", "2.6.22", "marked as accessed")
    anonymous: int | None = _field(
        "Anonymous",
        "2.6.36",
        "pages of no file; in a private file mapping, the pages copied on write",
    )
    ksm: int | None = _field("KSM", "6.7", "merged by kernel samepage merging")
    lazy_free: int | None = _field("LazyFree", "4.12", "marked by madvise(MADV_FREE)")
    anon_huge_pages: int | None = _field(
        "AnonHugePages", "2.6.38", "anonymous, mapped by transparent huge pages"
    )
    shmem_pmd_mapped: int | None = _field(
        "ShmemPmdMapped", "4.8", "shared memory mapped by huge pages"
    )
    file_pmd_mapped: int | None = _field("FilePmdMapped", "5.4", "page cache mapped by huge pages")
    shared_hugetlb: int | None = _field(
        "Shared_Hugetlb", "4.4", "hugetlb pages mapped by several processes; not in Rss or Pss"
    )
    private_hugetlb: int | None = _field(
        "Private_Hugetlb", "4.4", "hugetlb pages mapped once; not in Rss or Pss"
    )
    swap: int | None = _field("Swap", "2.6.26", "anonymous and shared memory that is in swap")
    swap_pss: int | None = _field(
        "SwapPss", "4.3", "in swap, each page divided by the number of its users"
    )
    locked: int | None = _field(
        "Locked", "2.6.37", "locked in memory; the same as Pss in kernels about 4.18"
    )
    pmap_dirty: int | None = attrs.field(
        default=None,
        metadata={
            "meaning": "the Dirty column of a pmap table, shared and private together",
            "unit": "kB",
        },
    )

    @property
    def dirty(self) -> int | None:
        """Shared_Dirty + Private_Dirty in kB, as pmap's Dirty; None where not reported."""
        if self.shared_dirty is None or self.private_dirty is None:
            return self.pmap_dirty
        return self.shared_dirty + self.private_dirty

    @property
    def uss(self) -> int | None:
        """
        Unique set size: Private_Clean + Private_Dirty in kB, as smem's USS.

        The memory that would be freed if the process ended now, except hugetlb pages and swap.
        None where not reported.
        """
        if self.private_clean is None or self.private_dirty is None:
            return None
        return self.private_clean + self.private_dirty


COUNTERS: Final = tuple(field.name for field in attrs.fields(Usage))
"""The attributes that may be summed, in the kernel's order."""

_LAST = ("thp_eligible", "protection_key", "vm_flags", "extra")


def _in_kernel_order(_cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """
    Put the fields of Mapping around the counters and allow all by position.

    Keywords are the public interface. `build_mappings` passes values by position, which is four
    times as fast.
    """

    def rank(field: attrs.Attribute[Any]) -> int:
        return 1 if field.name in COUNTERS else 2 if field.name in _LAST else 0

    return [field.evolve(kw_only=False) for field in sorted(fields, key=rank)]


# Usage itself is not frozen, so that _Draft can derive from it.
@attrs.frozen(  # pyright: ignore[reportGeneralTypeIssues]
    kw_only=True, repr=False, field_transformer=_in_kernel_order
)
class Mapping(Usage):
    """
    One mapping of a process: a header line of smaps, maps or pmap, and its fields.

    Returned by the parsers, or constructed by keyword; `perms` and `device` may be strings
    (`perms="rw-p"`, `device="fe:00"`). Counters are in kB, addresses and offset in bytes.
    """

    start: int
    """First address."""
    end: int
    """Address after the last one."""
    perms: Permissions = attrs.field(converter=_to_permissions)
    offset: int | None = None
    """Start in the file, in bytes; old kernels report an address for mappings without a name."""
    device: Device | None = attrs.field(default=None, converter=_to_device)
    inode: int | None = None
    """Inode of the file; the shmid for System V shared memory; 0 for none."""
    pathname: str = ""
    """
    The name as the source writes it, "" for none.

    Undecodable bytes are surrogate escapes (see os.fsdecode). A pmap row has only the last
    part of a path, or a word in brackets: `[ anon ]`, `[ stack ]`, `[ shmid=0x... ]`.
    """
    size: int = attrs.field(
        default=attrs.Factory(lambda self: (self.end - self.start) // 1024, takes_self=True),
        metadata={
            "kernel_name": "Size",
            "since": "2.6.14",
            "unit": "kB",
            "meaning": "of the address range; up to kernel 4.11, 4 kB more for a stack",
        },
    )
    kernel_page_size: int | None = _field(
        "KernelPageSize", "2.6.29", "size of a page; cannot be summed"
    )
    mmu_page_size: int | None = _field("MMUPageSize", "2.6.29", "size of a page; cannot be summed")
    thp_eligible: int | None = _field(
        "THPeligible", "5.0", "1 where transparent huge pages may be used", unit=""
    )
    protection_key: int | None = _field(
        "ProtectionKey", "4.9", "id of the memory protection key", unit=""
    )
    vm_flags: tuple[str, ...] | None = _field(
        "VmFlags", "3.8", "two-letter codes of the kernel's flags", unit="codes"
    )
    extra: MappingOf[str, int | str] = attrs.field(factory=dict, hash=False)
    """
    Fields without an attribute, by the kernel's name.

    An int where the text has a number (the snapshot's layout has its unit), else the text.
    """

    @property
    def backing(self) -> Backing | None:
        """Where its pages come from; None where the source cannot tell."""
        return backing_of(
            self.pathname,
            shared=self.perms.shared,
            writable=self.perms.write,
            device_major=None if self.device is None else self.device.major,
            vm_flags=self.vm_flags,
            kernel_page_size=self.kernel_page_size,
        )

    @property
    def sharing(self) -> Sharing:
        """Shared or private, by the fourth permission character."""
        return sharing_of(self.perms.shared)

    @property
    def is_anonymous(self) -> bool | None:
        """Whether its pages belong to no file; None where the source cannot tell."""
        backing = self.backing
        return None if backing is None else backing is Backing.ANONYMOUS

    @property
    def is_file_backed(self) -> bool | None:
        """Whether its pages can be dropped or written to a file; None where unknown."""
        backing = self.backing
        return None if backing is None else backing is Backing.FILE

    @property
    def is_shared(self) -> bool:
        """Permission `s`: made with MAP_SHARED, whether or not another process maps it now."""
        return self.perms.shared

    @property
    def is_private(self) -> bool:
        """Permission `p`: made with MAP_PRIVATE."""
        return not self.perms.shared

    @property
    def is_deleted(self) -> bool:
        """Whether the name ends in the kernel's suffix for a deleted file (not proof)."""
        return is_deleted(self.pathname)

    def __repr__(self) -> str:
        name = f" {self.pathname!r}" if self.pathname else ""
        values = [("size", self.size), ("rss", self.rss), ("swap", self.swap or None)]
        text = ", ".join(f"{label} {kb:,} kB" for label, kb in values if kb is not None)
        return f"<Mapping {self.start:x}-{self.end:x} {self.perms}{name}: {text}>"


class _DictSlot:
    """
    The slot of `extra`, which gets an empty dict when it is first read.

    `build_mappings` leaves None in it where a record has no such field: one dict per record made
    the garbage collector take a sixth of the time of `parse_smaps`. `__getattr__` would make
    every attribute of a record slower.
    """

    def __init__(self, slot: Any) -> None:
        self._slot = slot
        self.raw = slot.__get__
        """Return the value of a record, None for no such fields."""

    def __get__(self, record: Mapping | None, owner: type[Mapping]) -> Any:
        if record is None:
            return self
        extra = self.raw(record)
        if extra is None:
            extra = {}
            self._slot.__set__(record, extra)
        return extra

    def __set__(self, record: Mapping, value: MappingOf[str, int | str]) -> None:
        self._slot.__set__(record, value)


_EXTRA: Final = _DictSlot(Mapping.extra)
Mapping.extra = _EXTRA  # type: ignore[assignment]

MAPPING_FIELDS: Final = tuple(field.name for field in attrs.fields(Mapping))
"""All attributes of a Mapping, in the order of its columns."""

_Draft: Final = attrs.make_class(
    "_Draft",
    {
        f.name: attrs.field(default=None, init=f.name != "extra")
        for f in attrs.fields(Mapping)
        if f.name not in COUNTERS
    },
    bases=(Usage,),
    slots=True,
    eq=False,
    repr=False,
    field_transformer=_in_kernel_order,
)
"""
A mutable class with the slots of Mapping, turned into one by `draft.__class__ = Mapping`.

Filling it takes half the time of the frozen class, whose __init__ calls object.__setattr__.
"""

_VALUE_FIELDS: Final = MAPPING_FIELDS[
    MAPPING_FIELDS.index("size") + 1 : MAPPING_FIELDS.index("vm_flags")
]


def build_mappings(columns: Columns) -> list[Mapping]:
    """Build one record per row of `columns`, without validation or conversion."""
    permissions = Cache(Permissions.parse)
    devices = Cache[str | None, Device | None](_to_device)
    values, extra = columns.lists()
    mappings: list[Any] = list(
        map(
            _Draft,
            columns.start,
            columns.end,
            [permissions[text] for text in columns.perms],
            columns.offset,
            [devices[text] for text in columns.device],
            columns.inode,
            columns.pathname,
            values["size"],
            *(values.get(attribute) or repeat(None) for attribute in _VALUE_FIELDS),
            repeat(None) if columns.vm_flags is None else columns.vm_flags,
        )
    )
    for mapping, row in zip(mappings, zip(*extra.values(), strict=True), strict=False):
        present = {name: v for name, v in zip(extra, row, strict=True) if v is not None}
        if present:
            mapping.extra = present
    for mapping in mappings:
        mapping.__class__ = Mapping
    return mappings


_VALUES: Final = attrgetter(*(name for name in MAPPING_FIELDS if name != "extra"))


def are_equal(one: Mapping, other: Mapping) -> bool:
    """Return whether two records are equal, in a fourth of the time of `==`."""
    if _VALUES(one) != _VALUES(other):
        return False
    return (_EXTRA.raw(one) or {}) == (_EXTRA.raw(other) or {})


def attribute_of_each(name: str, records: Sequence[Usage]) -> list[Any]:
    """Return an attribute of each record; `name` may have dots."""
    return list(map(attrgetter(name), records))  # half the time of getattr() in a loop


def map_shared(function: Callable[[Any], T], objects: Sequence[Any]) -> list[T]:
    """
    Return a function's value for each object, computed once for objects that are identical.

    Parsers use one object of Permissions and Device for all records with the same text.
    """
    values = {
        key: function(each)
        for key, each in dict(zip(map(id, objects), objects, strict=True)).items()
    }
    return list(map(values.__getitem__, map(id, objects)))


def to_columns(mappings: Sequence[Mapping]) -> Columns:
    """Return records as columns, the inverse of `build_mappings`."""
    values = {
        name: attribute_of_each(name, mappings)
        for name in MAPPING_FIELDS
        if name not in ("perms", "device", "extra")
    }
    counters = {name: values.pop(name) for name in ("size", *_VALUE_FIELDS)}
    flags = values.pop("vm_flags")
    return Columns(
        perms=map_shared(str, attribute_of_each("perms", mappings)),
        device=map_shared(
            lambda device: None if device is None else str(device),
            attribute_of_each("device", mappings),
        ),
        vm_flags=None if flags.count(None) == len(flags) else flags,
        values={
            name: column
            for name, column in counters.items()
            if name == "size" or column.count(None) < len(column)
        },
        extra=columns_of_dicts([mapping.extra for mapping in mappings]),
        **values,
    )


def describe_counters(record: Usage, *names: str) -> str:
    """Return the counters above 0 as text for a repr."""
    values = ((name, getattr(record, name)) for name in names)
    return ", ".join(f"{name} {kb:,} kB" for name, kb in values if kb) or "nothing reported"


@attrs.frozen(kw_only=True, repr=False)  # pyright: ignore[reportGeneralTypeIssues]
class Rollup(Usage):
    """The kernel's own sums over all mappings of a process: smaps_rollup."""

    start: int
    """First address of the first mapping."""
    end: int
    """Address after the last mapping; some kernels include the vsyscall page."""
    pss_anon: int | None = _field("Pss_Anon", "5.4", "the anonymous part of Pss")
    pss_file: int | None = _field("Pss_File", "5.4", "the file-backed part of Pss")
    pss_shmem: int | None = _field("Pss_Shmem", "5.4", "the shared-memory part of Pss")
    extra: MappingOf[str, int | str] = attrs.field(factory=dict, hash=False)
    """As in Mapping."""

    def __repr__(self) -> str:
        return f"<Rollup {self.start:x}-{self.end:x}: {describe_counters(self, *COUNTERS)}>"


class KernelField(NamedTuple):
    """A field of the kernel's text and its attribute."""

    kernel_name: str
    attribute: str
    unit: str
    """"kB", "" for a plain number, or "codes"."""
    since: str
    """The first kernel version that reports it."""
    meaning: str


@functools.cache
def kernel_fields(record: type[Usage]) -> MappingOf[str, KernelField]:
    """Return the fields of a record class by the kernel's name, in order."""
    fields = (
        KernelField(
            field.metadata["kernel_name"],
            field.name,
            field.metadata["unit"],
            field.metadata["since"],
            field.metadata["meaning"],
        )
        for field in attrs.fields(record)
        if "kernel_name" in field.metadata
    )
    return MappingProxyType({field.kernel_name: field for field in fields})
