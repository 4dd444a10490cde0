"""
What is known of a mapping, a process or a group of mappings, as plain typed records.

Sizes are integers in kB (1 kB = 1,024 bytes, as the kernel says it), addresses are
integers. What a source does not say is None, never 0: `pmap -x` knows no Pss, a kernel
2.6.14 no Swap.

`Usage` declares each counter that may be added up, once; parsers, totals, frames and the
documentation's field table all read that declaration (`COUNTERS`, `MAPPING_FIELDS`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping as MappingOf
from typing import Any, Final, NamedTuple

import attrs

from smapskit.model.backing import Backing, Sharing, backing_of, is_deleted, sharing_of


@attrs.frozen
class Permissions:
    """What the process may do with a mapping; `str()` gives the kernel's four characters."""

    read: bool
    write: bool
    execute: bool
    shared: bool

    @classmethod
    def parse(cls, text: str) -> Permissions:
        """
        Read the kernel's four characters, such as `rw-s`.

        Raises:
            ValueError: for anything else.
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
    """The device that holds the mapped file; `str()` gives `major:minor` in hex."""

    major: int
    minor: int

    @classmethod
    @functools.lru_cache(maxsize=1024)
    def parse(cls, text: str) -> Device:
        """
        Read `major:minor`, two hexadecimal numbers such as `fe:00` or `103:02`.

        Raises:
            ValueError: for anything else.
        """
        major, colon, minor = text.partition(":")
        if not colon:
            msg = f"expected a device like 'fe:00', got {text!r}"
            raise ValueError(msg)
        return cls(int(major, 16), int(minor, 16))

    def __str__(self) -> str:
        return f"{self.major:02x}:{self.minor:02x}"


def _field(kernel_name: str, since: str, meaning: str, *, unit: str = "kB") -> Any:
    """Declare a figure: the kernel's name for it, its first kernel, what it means."""
    metadata = {"kernel_name": kernel_name, "since": since, "meaning": meaning, "unit": unit}
    return attrs.field(default=None, metadata=metadata)


@attrs.define(kw_only=True)
class Usage:
    """
    The counters that may be added up, in the kernel's order and in kB: what all records share.

    None means that the source does not say. The meanings are those of proc(5) and of the
    kernel's Documentation/filesystems/proc.rst.
    """

    rss: int | None = _field("Rss", "2.6.14", "resident in memory, whoever else maps it")
    pss: int | None = _field(
        "Pss", "2.6.25", "resident, each page divided by the number of processes mapping it"
    )
    pss_dirty: int | None = _field("Pss_Dirty", "6.0", "the part of Pss that is dirty")
    shared_clean: int | None = _field(
        "Shared_Clean", "2.6.14", "resident, mapped by several page tables, as on disk"
    )
    shared_dirty: int | None = _field(
        "Shared_Dirty", "2.6.14", "resident, mapped by several page tables, modified"
    )
    private_clean: int | None = _field(
        "Private_Clean", "2.6.14", "resident, mapped by this process alone, as on disk"
    )
    private_dirty: int | None = _field(
        "Private_Dirty", "2.6.14", "resident, mapped by this process alone, modified"
    )
    referenced: int | None = _field("Referenced", "2.6.22", "marked as accessed")
    anonymous: int | None = _field(
        "Anonymous", "2.6.36", "belongs to no file; in a private file mapping, its copied pages"
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
        "Shared_Hugetlb", "4.4", "hugetlb pages mapped by several; not in Rss or Pss"
    )
    private_hugetlb: int | None = _field(
        "Private_Hugetlb", "4.4", "hugetlb pages mapped once; not in Rss or Pss"
    )
    swap: int | None = _field("Swap", "2.6.26", "would-be-anonymous memory that is in swap")
    swap_pss: int | None = _field(
        "SwapPss", "4.3", "in swap, each page divided by the number of its users"
    )
    locked: int | None = _field(
        "Locked", "2.6.37", "locked in memory; the same as Pss in kernels about 4.18"
    )
    pmap_dirty: int | None = attrs.field(
        default=None,
        metadata={
            "meaning": "the Dirty column of a pmap table, which does not part shared from private",
            "unit": "kB",
        },
    )

    @property
    def dirty(self) -> int | None:
        """Shared_Dirty + Private_Dirty in kB, as pmap's Dirty; None where it is not known."""
        if self.shared_dirty is None or self.private_dirty is None:
            return self.pmap_dirty
        return self.shared_dirty + self.private_dirty

    @property
    def uss(self) -> int | None:
        """
        Unique set size: Private_Clean + Private_Dirty in kB, as smem's USS.

        What would be freed if the process ended now, but for hugetlb pages and swap. None
        where it is not known.
        """
        if self.private_clean is None or self.private_dirty is None:
            return None
        return self.private_clean + self.private_dirty


COUNTERS: Final = tuple(field.name for field in attrs.fields(Usage))
"""The attributes that may be added up, in the kernel's order."""

_LAST = ("thp_eligible", "protection_key", "vm_flags", "extra")


def _in_kernel_order(_cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """
    Put what Mapping declares around the counters, and let the parser pass all by position.

    By keyword is the public contract; by position a record is made in a quarter of the time.
    """

    def rank(field: attrs.Attribute[Any]) -> int:
        return 1 if field.name in COUNTERS else 2 if field.name in _LAST else 0

    return [field.evolve(kw_only=False) for field in sorted(fields, key=rank)]


# Usage is not frozen for the sake of Draft, below.
@attrs.frozen(  # pyright: ignore[reportGeneralTypeIssues]
    kw_only=True, repr=False, field_transformer=_in_kernel_order
)
class Mapping(Usage):
    """
    One mapping of a process: a header line of smaps, maps or pmap, and what belongs to it.

    Made by the parsers, or by keyword. Counters are in kB, addresses and offset in bytes.
    """

    start: int
    """First address."""
    end: int
    """First address behind it."""
    perms: Permissions
    offset: int | None = None
    """Where in the file it begins, in bytes; old kernels show an address for nameless ones."""
    device: Device | None = None
    inode: int | None = None
    """Of the file; the shmid for System V shared memory; 0 for none."""
    pathname: str = ""
    """
    As the source writes it, "" for none.

    Undecodable bytes are surrogate escapes (see os.fsdecode). A pmap row has the last part
    of a path only, or a word in brackets: `[ anon ]`, `[ stack ]`, `[ shmid=0x... ]`.
    """
    size: int = attrs.field(
        default=attrs.Factory(lambda self: (self.end - self.start) // 1024, takes_self=True),
        metadata={
            "kernel_name": "Size",
            "since": "2.6.14",
            "unit": "kB",
            "meaning": "of the address range; up to kernel 4.11 a stack shows 4 kB more",
        },
    )
    kernel_page_size: int | None = _field("KernelPageSize", "2.6.29", "of a page; not summable")
    mmu_page_size: int | None = _field("MMUPageSize", "2.6.29", "of a page; not summable")
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
    Fields that smapskit has no attribute for, by the kernel's name.

    An int where the text shows a figure (see the layout for its unit), else the text.
    """

    @property
    def backing(self) -> Backing | None:
        """Where its pages come from; None where the source can't tell."""
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
        """Whether it has no file behind it; None where the source can't tell."""
        backing = self.backing
        return None if backing is None else backing is Backing.ANONYMOUS

    @property
    def is_file_backed(self) -> bool | None:
        """Whether page-out can drop it or write it to a file; None where unknown."""
        backing = self.backing
        return None if backing is None else backing is Backing.FILE

    @property
    def is_shared(self) -> bool:
        """Permission `s`: made with MAP_SHARED, whoever else maps it now."""
        return self.perms.shared

    @property
    def is_private(self) -> bool:
        """Permission `p`: made with MAP_PRIVATE."""
        return not self.perms.shared

    @property
    def is_deleted(self) -> bool:
        """Whether the kernel calls the file deleted; a name that ends so looks the same."""
        return is_deleted(self.pathname)

    def __repr__(self) -> str:
        name = f" {self.pathname!r}" if self.pathname else ""
        figures = [("size", self.size), ("rss", self.rss), ("swap", self.swap or None)]
        said = ", ".join(f"{what} {kb:,} kB" for what, kb in figures if kb is not None)
        return f"<Mapping {self.start:x}-{self.end:x} {self.perms}{name}: {said}>"


Draft: Final = attrs.make_class(
    "Draft",
    {f.name: attrs.field(default=None) for f in attrs.fields(Mapping) if f.name not in COUNTERS},
    bases=(Usage,),
    slots=True,
    eq=False,
    repr=False,
    field_transformer=_in_kernel_order,
)
"""
A Mapping that can still be filled, which takes half the time that a frozen one takes.

Its slots are those of Mapping, so that it becomes one by `draft.__class__ = Mapping`.
"""


def _said(record: Usage, *names: str) -> str:
    """The figures that are more than nothing, for a person to read."""
    figures = ((name, getattr(record, name)) for name in names)
    return ", ".join(f"{name} {kb:,} kB" for name, kb in figures if kb) or "nothing known"


@attrs.frozen(kw_only=True, repr=False)  # pyright: ignore[reportGeneralTypeIssues]
class Rollup(Usage):
    """The sums that the kernel itself gives for a whole process, in smaps_rollup."""

    start: int
    """First address of the first mapping."""
    end: int
    """First address behind the last one; the vsyscall page may or may not count."""
    pss_anon: int | None = _field("Pss_Anon", "5.4", "the anonymous part of Pss")
    pss_file: int | None = _field("Pss_File", "5.4", "the file-backed part of Pss")
    pss_shmem: int | None = _field("Pss_Shmem", "5.4", "the shared-memory part of Pss")
    extra: MappingOf[str, int | str] = attrs.field(factory=dict, hash=False)
    """As in Mapping."""

    def __repr__(self) -> str:
        return f"<Rollup {self.start:x}-{self.end:x}: {_said(self, *COUNTERS)}>"


@attrs.frozen(kw_only=True, repr=False)  # pyright: ignore[reportGeneralTypeIssues]
class Totals(Usage):
    """Sums over mappings, in kB; None where no mapping knows the field."""

    count: int
    """How many mappings were added up."""
    size: int
    """Of their address ranges."""

    def __repr__(self) -> str:
        return f"<Totals of {self.count} mappings: {_said(self, 'size', *COUNTERS)}>"

    def _repr_html_(self) -> str:
        from smapskit.views import html as notebook  # noqa: PLC0415  only a notebook asks for it

        return notebook.totals_html(self)


class KernelField(NamedTuple):
    """A field by both its names."""

    kernel_name: str
    attribute: str
    unit: str
    """kB, "" for a bare number, or "codes"."""
    since: str
    """The first kernel that shows it."""
    meaning: str


def kernel_fields(record: type[Usage]) -> dict[str, KernelField]:
    """The fields of a record that the kernel has a name for, by that name, in order."""
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
    return {field.kernel_name: field for field in fields}


MAPPING_FIELDS: Final = tuple(field.name for field in attrs.fields(Mapping))
"""All attributes of a Mapping, in the order of its columns."""
