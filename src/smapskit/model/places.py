"""
Mappings of a process as arrays of addresses, and the conditions on them that tell kinds apart.

`Places` gathers columns. What depends on name, permissions, flags, device and page size is
computed once per distinct combination (`Key`), the rest with NumPy, which is loaded when a
`Places` is made.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from smapskit.model.backing import PMAP_ANON, PMAP_STACK, Backing, backing_of_key
from smapskit.model.columns import Cache, Columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Numbers = NDArray[np.uint64]

Array = TypeVar("Array", bound="NDArray[Any]")

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20
_GIB: Final = 1 << 30
_TIB: Final = 1 << 40
_PAGE: Final = 4 * _KIB
_MAX_ADDRESS: Final = 2**64 - 1
_KERNEL_ADDRESS: Final = 2**63
_MAX_32_BIT: Final = 1 << 32
_LARGEST_GUARD: Final = 64 * _KIB
_SMALLEST_STACK: Final = 16 * _KIB
"""PTHREAD_STACK_MIN, without a guard."""
_LARGEST_BSS: Final = 512 * _KIB
"""Of a library. Mappings that are made later end directly above libraries, too."""
_MMAP_THRESHOLD: Final = 128 * _KIB
"""M_MMAP_THRESHOLD, see mallopt(3)."""
_COMPRESSED_OOPS_END: Final = 32 * _GIB
_GO_HEAP_START: Final = 0xC0_0000_0000
_GO_HEAP_END: Final = 0xD0_0000_0000
_SHADOW_START: Final = 0x7FFF_7000
_SHADOW_END: Final = 0x1000_7FFF_8000
_SANITIZER_HEAP_START: Final = 0x5000_0000_0000
_SANITIZER_HEAP_END: Final = 0x6400_0001_0000
_V8_PAGE: Final = 256 * _KIB
_CPYTHON_ARENA: Final = 256 * _KIB
"""1 MiB from CPython 3.10 on."""
_PHP_CHUNK: Final = 2 * _MIB


class Key(NamedTuple):
    """What does not depend on addresses; a process has few distinct ones."""

    name: str
    """The kernel's: "" where pmap writes `[ anon ]`."""
    perms: str
    vm_flags: tuple[str, ...] | None
    backing: Backing | None

    @property
    def is_plain(self) -> bool:
        """Anonymous private memory without a name."""
        return not self.name and self.backing is Backing.ANONYMOUS


def kernel_name(name: str) -> str:
    """Return the kernel's name in place of pmap's word for it."""
    return "" if name == PMAP_ANON else "[stack]" if name == PMAP_STACK else name


@functools.lru_cache(maxsize=4096)
def _key(key: tuple[Any, ...]) -> Key:
    """Return the key of mappings with the same `Columns.classification_keys`."""
    name, perms, _, flags, _ = key
    return Key(kernel_name(name), perms, flags, backing_of_key(key))


class Places:
    """
    Consecutive mappings of one process.

    All columns are added before anything is read. Conditions are arrays of bool with one entry
    per mapping.
    """

    def __init__(self) -> None:
        import numpy as np  # noqa: PLC0415  loaded when kinds are first computed

        self._np = np
        self.keys: list[Key] = []
        self._numbers = Cache(self._append)
        self._parts: list[tuple[Any, Any, Any]] = []

    def _append(self, key: tuple[Any, ...]) -> int:
        self.keys.append(_key(key))
        return len(self.keys) - 1

    @classmethod
    def of(cls, parts: Iterable[Columns]) -> Places:
        """Return the mappings of all parts."""
        places = cls()
        for columns in parts:
            places.add(columns)
        return places

    def add(self, columns: Columns) -> None:
        """Append mappings."""
        codes = list(map(self._numbers.__getitem__, columns.classification_keys()))
        self._parts.append(
            (
                self._np.array(codes, dtype=self._np.intp),
                self._addresses(columns.start),
                self._addresses(columns.end),
            )
        )

    def _addresses(self, column: Any) -> Numbers:
        try:
            return self._np.asarray(column, dtype=self._np.uint64)
        except OverflowError:  # not an address of any kernel
            known = [min(max(value, 0), _MAX_ADDRESS) for value in column]
            return self._np.array(known, dtype=self._np.uint64)

    def _column(self, at: int, dtype: Any) -> Any:
        parts = [part[at] for part in self._parts]
        return self._np.concatenate(parts) if parts else self._np.array([], dtype=dtype)

    def __len__(self) -> int:
        return len(self._codes)

    # ---- arrays --------------------------------------------------------------------------

    @functools.cached_property
    def _codes(self) -> NDArray[np.intp]:
        codes: NDArray[np.intp] = self._column(0, self._np.intp)
        return codes

    @functools.cached_property
    def start(self) -> Numbers:
        """First addresses."""
        start: Numbers = self._column(1, self._np.uint64)
        return start

    @functools.cached_property
    def end(self) -> Numbers:
        """Addresses after the last ones."""
        end: Numbers = self._column(2, self._np.uint64)
        return end

    @functools.cached_property
    def size(self) -> Numbers:
        """Sizes in bytes."""
        return self.end - self.start

    @functools.cached_property
    def follows(self) -> Mask:
        """Whether a mapping begins where the one before it ends."""
        follows = self._np.zeros(len(self), dtype=bool)
        follows[1:] = self.start[1:] == self.end[:-1]
        return follows

    @functools.cached_property
    def code_files(self) -> frozenset[str]:
        """The names of files that are mapped executable."""
        return frozenset(
            key.name for key in self.keys if key.backing is Backing.FILE and "x" in key.perms
        )

    def of_keys(self, function: Callable[[Key], int]) -> NDArray[np.intp]:
        """Return for each mapping the value of a function of its key."""
        values: NDArray[np.intp] = self._np.array(
            [function(key) for key in self.keys], dtype=self._np.intp
        )
        return values[self._codes]

    def where(self, condition: Callable[[Key], object]) -> Mask:
        """Return for each mapping whether its key meets a condition."""
        values: Mask = self._np.array([bool(condition(key)) for key in self.keys], dtype=bool)
        return values[self._codes]

    def after(self, values: Array) -> Array:
        """Return the value of the mapping that begins where this one ends, else 0 or False."""
        found = values.copy()
        found[:-1] = values[1:] * self.follows[1:]
        found[-1:] = 0
        return found

    def before(self, values: Array) -> Array:
        """Return the value of the mapping that ends where this one begins, else 0 or False."""
        found = values.copy()
        found[1:] = values[:-1] * self.follows[1:]
        found[:1] = 0
        return found

    @functools.cached_property
    def plain(self) -> Mask:
        """Private anonymous memory without a name."""
        return self.where(lambda key: key.is_plain)

    @functools.cached_property
    def _plain_keys(self) -> list[tuple[int, Key]]:
        return [(number, key) for number, key in enumerate(self.keys) if key.is_plain]

    def where_plain(self, condition: Callable[[Key], bool]) -> Mask:
        """Return for each mapping whether it is plain and its key meets a condition."""
        table = self._np.zeros(len(self.keys), dtype=bool)
        for number, key in self._plain_keys:
            table[number] = condition(key)
        return table[self._codes]

    def has_flag(self, flag: str, *, if_unknown: bool) -> Mask:
        """Return for each mapping whether it is plain and has a flag."""
        return self.where_plain(
            lambda key: if_unknown if key.vm_flags is None else flag in key.vm_flags
        )

    @functools.cached_property
    def read_write(self) -> Mask:
        """Plain memory that is readable and writable."""
        return self.where_plain(lambda key: key.perms == "rw-p")

    @functools.cached_property
    def no_access(self) -> Mask:
        """Plain memory without permissions."""
        return self.where_plain(lambda key: key.perms == "---p")

    @functools.cached_property
    def program_data(self) -> Mask:
        """Writable memory of files that are also mapped executable."""
        return self.where(
            lambda key: (
                key.perms == "rw-p" and key.backing is Backing.FILE and key.name in self.code_files
            )
        )

    @functools.cached_property
    def main_data(self) -> Mask:
        """Memory of the file that has the lowest code: the program, not a library."""
        code = self.where(lambda key: key.name in self.code_files and "x" in key.perms)
        first = int(code.argmax()) if code.any() else -1
        name = self.keys[self._codes[first]].name if first >= 0 else ""
        return self.where(lambda key: key.name == name and key.backing is Backing.FILE)

    @functools.cached_property
    def reserved_after(self) -> Numbers:
        """Size of the adjacent memory without permissions after a mapping."""
        return self.after(self.size * self.no_access)

    @functools.cached_property
    def reserved_before(self) -> Numbers:
        """Size of the adjacent memory without permissions before a mapping."""
        return self.before(self.size * self.no_access)

    @functools.cached_property
    def go_heap(self) -> Mask:
        """
        Memory at the addresses at which Go's heap begins (runtime/malloc.go).

        The first arena is at 0xc000000000 on 64-bit systems. It is 64 MiB, as a glibc heap is.
        """
        is_there = (self.start >= _GO_HEAP_START) & (self.start < _GO_HEAP_END)
        is_first: Mask = self.start == _GO_HEAP_START
        return self.read_write & is_there & is_first.any()

    @functools.cached_property
    def arena(self) -> Mask:
        """
        Heaps of glibc's arenas.

        A heap is HEAP_MAX_SIZE (glibc: malloc/arena.c), aligned to its size: 64 MiB, 1 MiB in
        32-bit processes. Adjacent heaps are one mapping once the first is full. Their memory is
        not accounted (`nr`), which that of other reservations is once it is writable. Where
        overcommit is disabled, the kernel ignores MAP_NORESERVE: both parts lack the flag.
        """
        rest = self.reserved_after
        unaccounted = self.has_flag("nr", if_unknown=True)
        has_rest = (rest > 0) & (rest < self.heap_size) & ~(unaccounted ^ self.after(unaccounted))
        has_rest &= self._is_multiple(self.size + rest, self.heap_size)
        # A mapping that happens to have the size of a heap is accounted.
        is_full = self.full_heap | self.full_heaps & self.has_flag("nr", if_unknown=False)
        return self.at_heap & (has_rest | is_full & unaccounted)

    @functools.cached_property
    def heap_size(self) -> int:
        """Size of a heap of glibc's arenas, which is also its alignment."""
        return 64 * _MIB if self.end.max(initial=0) > _MAX_32_BIT else _MIB

    @functools.cached_property
    def at_heap(self) -> Mask:
        """Memory that may begin with a heap of an arena."""
        is_heap = self._is_multiple(self.start, self.heap_size) & self.read_write
        return is_heap & ~self.go_heap & ~self.far_down

    @functools.cached_property
    def full_heap(self) -> Mask:
        """Memory of the size of a heap, all of it writable."""
        is_whole: Mask = self.size == self.heap_size
        return self.at_heap & is_whole

    @functools.cached_property
    def full_heaps(self) -> Mask:
        """Memory of the size of one or several heaps, all of it writable."""
        return self.at_heap & self._is_multiple(self.size, self.heap_size)

    @functools.cached_property
    def thread_stack(self) -> Mask:
        """
        Stacks of threads: memory after a guard.

        From kernel 6.7 on, a mapping made with MAP_STACK has the flag `nh`. glibc uses it, so
        that no other mapping is a stack where it occurs. Elsewhere the size tells, with or
        without the guard and up to a page more: musl adds thread-local storage, HotSpot moves
        the guard. glibc 2.42 and later makes guard regions (`gu`) in place of a guard mapping;
        then adjacent stacks are one mapping.
        """
        known = self.made_as_stack & ~self.signal_stack
        if known.any():
            return known
        guard = self.reserved_before
        is_guarded = (guard >= _PAGE) & (guard <= _LARGEST_GUARD)
        is_guarded |= self.has_flag("gu", if_unknown=False)
        unit = 128 * _KIB
        is_usual = (self.size % unit <= _PAGE) | ((self.size + guard) % unit <= _PAGE)
        is_usual &= (self.size >= unit) & (self.size <= 64 * _MIB)
        return self.read_write & is_guarded & is_usual & ~self.far_down

    @functools.cached_property
    def made_as_stack(self) -> Mask:
        """Memory with the flag of MAP_STACK after a guard, which may be large."""
        guard = self.reserved_before
        is_guarded = (guard >= _PAGE) & (guard <= _MIB)
        is_guarded |= self.has_flag("gu", if_unknown=False)
        is_stack = self.has_flag("nh", if_unknown=False) & ~self.unaccounted
        return self.read_write & is_guarded & is_stack

    @functools.cached_property
    def executable(self) -> Mask:
        """Plain memory that is executable."""
        return self.where_plain(lambda key: "x" in key.perms)

    @functools.cached_property
    def far_down(self) -> Mask:
        """Mappings at addresses that mmap does not choose, far below stack and libraries."""
        top = int(self.end[self.end < _KERNEL_ADDRESS].max(initial=0))
        return self.start < max(top - 4 * _TIB, 0)

    @functools.cached_property
    def beside_reserved(self) -> Mask:
        """Memory beside a reservation, which is larger than a guard or has the flag `nr`."""
        is_reservation = (self.size > _LARGEST_GUARD) | self.has_flag("nr", if_unknown=False)
        reserved = self.no_access & is_reservation
        return self.before(reserved) | self.after(reserved)

    @functools.cached_property
    def runs_go(self) -> bool:
        """
        Whether the process has the page summaries of Go's allocator (runtime/mpagealloc.go).

        They are a tree of large reservations, of each of which little is used.
        """
        is_summary = self.read_write & ~self.far_down & (self.size == _PAGE)
        is_summary &= (self.reserved_before >= 256 * _KIB) & (self.reserved_after >= 256 * _KIB)
        return int(is_summary.sum()) >= 3  # noqa: PLR2004

    @functools.cached_property
    def rest_of_arena(self) -> Mask:
        """The part of an arena's heap that is not used yet."""
        return self.no_access & self.before(self.arena)

    @functools.cached_property
    def signal_stack(self) -> Mask:
        """As a thread's stack, but less than the smallest one."""
        return self.made_as_stack & (self.size < _SMALLEST_STACK)

    @functools.cached_property
    def stack_guard(self) -> Mask:
        """Guards of stacks."""
        return self.no_access & self.after(self.thread_stack | self.made_as_stack)

    @functools.cached_property
    def guard(self) -> Mask:
        """A few pages without permissions."""
        return self.no_access & (self.size <= _LARGEST_GUARD)

    @functools.cached_property
    def bss(self) -> Mask:
        """Memory directly after writable data: of the program of any size, of a library small."""
        is_plausible = self.before(self.main_data) | (self.size <= _LARGEST_BSS)
        return self.read_write & self.before(self.program_data) & is_plausible

    @functools.cached_property
    def large(self) -> Mask:
        """Blocks for which malloc calls mmap."""
        return self.read_write & (self.size > _MMAP_THRESHOLD)

    @functools.cached_property
    def large_nearby(self) -> Mask:
        """Such blocks at addresses that mmap chooses."""
        return self.large & ~self.far_down

    @functools.cached_property
    def unaccounted(self) -> Mask:
        """Readable and writable memory with the flag `nr`, of MAP_NORESERVE."""
        return self.read_write & self.has_flag("nr", if_unknown=False)

    @functools.cached_property
    def large_or_beside_guard(self) -> Mask:
        """Large blocks, and memory beside any that has no permissions."""
        has_neighbour = (self.reserved_before > 0) | (self.reserved_after > 0)
        return self.large | self.read_write & has_neighbour

    @functools.cached_property
    def below_32_gib(self) -> Mask:
        """Addresses of a Java heap with compressed references."""
        return self.read_write & (self.start < _COMPRESSED_OOPS_END)

    @functools.cached_property
    def go_heap_elsewhere(self) -> Mask:
        """Go's heap where it begins at a random address: Go 1.26 and later."""
        return self.read_write & self.far_down & self.beside_reserved & self.runs_go

    @functools.cached_property
    def go_runtime(self) -> Mask:
        """Memory at addresses that mmap chooses in a process with a Go heap."""
        runs_go = self.runs_go or bool(self.go_heap.any())
        return self.read_write & ~self.far_down & runs_go

    @functools.cached_property
    def v8_page(self) -> Mask:
        """Memory in units of V8's pages, which is not accounted."""
        return self._is_multiple(self.start, _V8_PAGE) & self.has_flag("nr", if_unknown=True)

    @functools.cached_property
    def not_accounted(self) -> Mask:
        """Memory with the flag `nr`, with any permissions."""
        return self.has_flag("nr", if_unknown=False)

    @functools.cached_property
    def cpython_arena(self) -> Mask:
        """Memory in units of CPython's arenas."""
        return self.read_write & self._is_multiple(self.size, _CPYTHON_ARENA)

    @functools.cached_property
    def php_chunk(self) -> Mask:
        """Memory at multiples of PHP's chunks."""
        return self.read_write & self._is_multiple(self.start, _PHP_CHUNK)

    @functools.cached_property
    def not_forked(self) -> Mask:
        """Memory that fork does not copy: that of a guest (qemu: system/physmem.c)."""
        return self.read_write & self.has_flag("dc", if_unknown=False)

    @functools.cached_property
    def shadow(self) -> Mask:
        """AddressSanitizer's shadow memory (compiler-rt: asan_mapping.h, for x86-64)."""
        is_there = (self.start >= _SHADOW_START) & (self.end <= _SHADOW_END)
        return self.read_write & is_there & self._has_shadow

    @functools.cached_property
    def sanitizer_heap(self) -> Mask:
        """AddressSanitizer's heap (compiler-rt: asan_allocator.h)."""
        is_there = (self.start >= _SANITIZER_HEAP_START) & (self.end <= _SANITIZER_HEAP_END)
        return self.read_write & is_there & self._has_shadow

    @functools.cached_property
    def _has_shadow(self) -> bool:
        return bool((self.start == _SHADOW_START).any())

    @staticmethod
    def _is_multiple(values: Numbers, unit: int) -> Mask:
        is_multiple: Mask = values % unit == 0
        return is_multiple
