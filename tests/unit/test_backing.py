from __future__ import annotations

import itertools

import pytest

from smapskit import Backing, Device, Mapping, Permissions, Sharing
from smapskit.model.backing import NAME_RULES, NameRule


def mapping(name: str, perms: str = "rw-p", device: str = "00:01", **known: object) -> Mapping:
    return Mapping(
        start=0x1000,
        end=0x2000,
        perms=Permissions.parse(perms),
        device=Device.parse(device),
        pathname=name,
        **known,
    )


ANONYMOUS, FILE, SHMEM = Backing.ANONYMOUS, Backing.FILE, Backing.SHMEM
DEVICE, HUGETLB, SPECIAL = Backing.DEVICE, Backing.HUGETLB, Backing.SPECIAL


@pytest.mark.parametrize(
    ("name", "perms", "device", "backing"),
    [
        ("", "rw-p", "00:00", ANONYMOUS),
        ("[heap]", "rw-p", "00:00", ANONYMOUS),
        ("[stack]", "rw-p", "00:00", ANONYMOUS),
        ("[stack:20824]", "rw-p", "00:00", ANONYMOUS),
        ("[anon:with blanks: and / ]", "rw-p", "00:00", ANONYMOUS),
        ("[anon_shmem:x]", "rw-s", "00:01", SHMEM),
        ("[vdso]", "r-xp", "00:00", SPECIAL),
        ("[vvar]", "r--p", "00:00", SPECIAL),
        ("[vvar_vclock]", "r--p", "00:00", SPECIAL),
        ("[vsyscall]", "--xp", "00:00", SPECIAL),
        ("[uprobes]", "--xp", "00:00", SPECIAL),
        ("[sigpage]", "r-xp", "00:00", SPECIAL),
        ("[vectors]", "r-xp", "00:00", SPECIAL),
        ("[of tomorrow]", "r-xp", "00:00", SPECIAL),
        ("/usr/bin/sh", "r-xp", "fe:00", FILE),
        ("/usr/bin/sh (deleted)", "r-xp", "fe:00", FILE),
        ("/home/x/[heap]", "rw-p", "fe:00", FILE),
        ("test/run", "r-xp", "fe:00", FILE),
        ("/memfd:x (deleted)", "rw-s", "00:01", SHMEM),
        ("/memfd:x", "rw-s", "fe:00", FILE),  # on a disk: really called so
        ("/SYSV0000002a (deleted)", "rw-s", "00:01", SHMEM),
        ("/SYSV00000000\\040(deleted)", "rw-s", "00:04", SHMEM),
        ("/SYSV0000002a (deleted)", "rw-s", "08:01", FILE),
        ("/SYSVx", "rw-s", "00:01", FILE),
        ("/secretmem (deleted)", "rw-s", "00:0e", SPECIAL),
        ("/secretmem (deleted)", "rw-s", "fe:00", FILE),
        ("/dev/zero (deleted)", "rw-s", "00:01", SHMEM),
        ("/dev/zero", "rw-p", "00:06", ANONYMOUS),
        ("/dev/shm/sem.x", "rw-s", "00:1b", SHMEM),
        ("/dev/shm/x", "rw-s", "fe:00", FILE),  # no tmpfs there
        ("/dev/ashmem/dalvik (deleted)", "rw-s", "00:04", SHMEM),
        ("/dev/ashmem (deleted)", "rw-s", "00:01", SHMEM),
        ("/dev/__properties__ (deleted)", "r--s", "00:0c", SHMEM),
        ("/dev/__properties__", "r--s", "00:0c", SHMEM),
        ("/drm mm object (deleted)", "rw-s", "00:01", SHMEM),
        ("/i915 (deleted)", "rw-s", "00:2e", SHMEM),
        ("/i915 (deleted)", "rw-s", "fe:00", FILE),
        ("/i915", "r--p", "00:2e", FILE),
        ("/dev/dri/card0", "rw-s", "00:05", DEVICE),
        ("/dev/mem", "rw-s", "b3:02", DEVICE),
        ("anon_inode:[perf_event]", "rw-s", "00:10", DEVICE),
        ("anon_inode:i915.gem", "rw-s", "00:10", DEVICE),
        ("socket:[123]", "rw-s", "00:09", DEVICE),
        ("/dmabuf:x", "rw-s", "00:0b", DEVICE),
        ("/sys/devices/pci0000:00/resource0", "rw-s", "00:15", DEVICE),
        ("/[aio] (deleted)", "rw-s", "00:12", SPECIAL),
        ("anon_inode:[io_uring]", "rw-s", "00:0e", SPECIAL),
        ("/anon_hugepage (deleted)", "rw-p", "00:11", HUGETLB),
        ("/dev/hugepages/x", "rw-s", "00:23", HUGETLB),
        ("/mnt/huge/rtemap_1012", "rw-s", "00:1b", HUGETLB),
        ("/home/x/rtemap_1012", "rw-s", "fe:00", FILE),
        ("/mnt/huge/rtemap_1012.old", "rw-s", "00:1b", FILE),
    ],
)
def test_by_name_and_device(name: str, perms: str, device: str, backing: Backing) -> None:
    made = mapping(name, perms, device)
    assert made.backing is backing
    assert made.is_anonymous == (backing is ANONYMOUS)
    assert made.is_file_backed == (backing is FILE)


class TestHugetlb:
    def test_by_the_flag(self) -> None:
        made = mapping("/mnt/x", "rw-s", vm_flags=("rd", "ht"), kernel_page_size=64)
        assert made.backing is HUGETLB

    @pytest.mark.parametrize("page_size", [2048, 16384, 1048576])
    def test_by_the_page_size_where_there_are_no_flags(self, page_size: int) -> None:
        assert mapping("/mnt/x", kernel_page_size=page_size).backing is HUGETLB

    @pytest.mark.parametrize("page_size", [4, 16, 64])
    def test_not_by_the_base_page_of_another_architecture(self, page_size: int) -> None:
        assert mapping("/mnt/x", kernel_page_size=page_size).backing is FILE

    def test_the_flags_decide(self) -> None:
        # A persistent memory device has huge pages, which are not of the hugetlb pool.
        made = mapping("/dev/dax0.0", kernel_page_size=2048, vm_flags=("rd", "mm"))
        assert made.backing is DEVICE

    @pytest.mark.parametrize(
        "name", ["/mnt/huge/rtemap_12", "/dev/hugepages/x", "/anon_hugepage (deleted)"]
    )
    def test_a_name_does_not_overrule_what_the_kernel_reports(self, name: str) -> None:
        assert mapping(name).backing is HUGETLB
        for known in ({"kernel_page_size": 2048}, {"vm_flags": ("rd", "ht")}):
            assert mapping(name, **known).backing is HUGETLB
        for known in ({"kernel_page_size": 4}, {"vm_flags": ("rd", "mr")}):
            assert mapping(name, **known).backing is not HUGETLB


@pytest.mark.parametrize("flag", ["io", "pf"])
def test_memory_of_a_driver_with_any_path(flag: str) -> None:
    assert mapping("/proc/bus/pci/00/02.0", vm_flags=("rd", flag)).backing is DEVICE


def test_the_vvar_page_has_such_flags_too() -> None:
    assert mapping("[vvar]", vm_flags=("rd", "pf", "io")).backing is SPECIAL


class TestPmapWords:
    @pytest.mark.parametrize(
        ("word", "perms", "backing"),
        [
            ("[ anon ]", "rw-p", ANONYMOUS),
            ("[ anon ]", "r-xp", None),  # perhaps the vdso
            ("[ anon ]", "---p", None),
            ("[ anon ]", "rw-s", None),  # perhaps a ring of a driver's
            ("[ stack ]", "rw-p", ANONYMOUS),
            ("[ shmid=0x2a ]", "rw-s", SHMEM),
            ("[anon]", "rw-p", ANONYMOUS),  # toybox
            ("[anon]", "r--p", None),
            ("[anon]", "rw-s", None),
            ("[ anôn ]", "rw-p", ANONYMOUS),  # procps in other languages
            ("[ анон ]", "rw-p", ANONYMOUS),
            ("[ 匿名 ]", "rw-p", ANONYMOUS),
            ("[ vô danh ]", "rw-p", ANONYMOUS),
            ("[ vô danh ]", "r-xp", None),
            ("[ pilha ]", "rw-p", ANONYMOUS),
            ("[ pile  ]", "rw-p", ANONYMOUS),
            ("[ стек  ]", "rw-p", ANONYMOUS),
            ("[ ngăn xếp ]", "rw-p", ANONYMOUS),
            ("[ unknown ]", "rw-p", None),
            ("zero (deleted)", "rw-s", SHMEM),
            ("zero (deleted)", "rw-p", None),  # any file may be called so
            ("zero", "rw-s", None),
            ("boot.art]", "rw-p", ANONYMOUS),  # [anon:dalvik-/system/framework/boot.art]
            ("boot.art]", "rw-s", None),
            ("boot.oat", "r-xp", FILE),
            ("drm mm object (deleted)", "rw-s", SHMEM),
            ("i915 (deleted)", "rw-s", SHMEM),
            ("ashmem (deleted)", "rw-s", SHMEM),
            ("[aio] (deleted)", "rw-s", SPECIAL),
            ("anon_hugepage (deleted)", "rw-p", HUGETLB),
            ("card0", "rw-s", None),  # /dev/dri/card0 or a file
            ("memfd:x (deleted)", "rw-s", SHMEM),
            ("a.out", "r-xp", FILE),
        ],
    )
    def test_the_backing_of_a_row(self, word: str, perms: str, backing: Backing | None) -> None:
        made = mapping(word, perms)
        assert made.backing is backing
        assert made.is_anonymous == (None if backing is None else backing is ANONYMOUS)
        assert made.is_file_backed == (None if backing is None else backing is FILE)


def test_sharing_is_the_permission() -> None:
    assert mapping("", "rw-s").sharing is Sharing.SHARED
    assert mapping("", "rw-p").sharing is Sharing.PRIVATE


@pytest.mark.parametrize(
    ("name", "deleted"),
    [
        ("/x (deleted)", True),
        ("/SYSV00000000\\040(deleted)", True),
        ("/x(deleted)", False),
        ("/x (deleted)x", False),
        ("", False),
    ],
)
def test_deleted_is_the_suffix_of_the_kernel(name: str, deleted: bool) -> None:
    assert mapping(name).is_deleted == deleted


PERMS = ["".join(perms) for perms in itertools.product("r-", "w-", "x-", "sp")]


def allows(rule: NameRule, perms: str) -> bool:
    return rule.shared in (None, perms[3] == "s") and rule.writable in (None, perms[1] == "w")


@pytest.mark.parametrize("position", range(len(NAME_RULES)), ids=lambda at: NAME_RULES[at].example)
def test_each_example_of_the_documented_table_has_the_backing_of_its_row(position: int) -> None:
    rule = NAME_RULES[position]
    for example in rule.example.split(", "):
        same = [r for r in NAME_RULES[:position] if example in r.example.split(", ")]
        perms = [p for p in PERMS if allows(rule, p) and not any(allows(r, p) for r in same)]
        assert perms
        name = example.replace("(no name)", "")
        assert {mapping(name, p).backing for p in perms} == {rule.backing}
