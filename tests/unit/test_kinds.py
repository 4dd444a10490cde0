"""Whose memory a mapping is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.paths import FIXTURES, RUNTIMES

import smapskit
from smapskit import KIND_RULES, KindSource, Mapping, MappingKind
from smapskit.model.kinds import fold_name, kinds_of, rules_of
from smapskit.model.mapping import to_columns
from smapskit.model.places import Places

RUNTIME_CAPTURES: dict[str, Any] = json.loads((RUNTIMES / "index.json").read_text())["captures"]


def process(text: str) -> list[Mapping]:
    """Return the mappings of a text: `start-end perms {flags} name` per line."""
    mappings = []
    for line in filter(str.strip, text.splitlines()):
        addresses, perms, *rest = line.split(None, 2)
        start, end = (int(address, 16) for address in addresses.split("-"))
        name = rest[0] if rest else ""
        flags = None
        if name.startswith("{"):
            codes, _, name = name[1:].partition("}")
            flags = tuple(codes.split())
        device = "fe:00" if name.startswith("/usr/") else "00:00"
        mappings.append(
            Mapping(
                start=start,
                end=end,
                perms=perms,
                pathname=name.strip(),
                device=device,
                vm_flags=flags,
            )
        )
    return mappings


def found(text: str) -> list[str]:
    """Return `kind/source/owner` of each mapping of a text, without an empty owner."""
    verdicts = smapskit.kinds(process(text))
    return ["/".join(filter(None, (v.kind, v.source, v.owner))) for v in verdicts]


LIBC = """
7f0000100000-7f0000128000 r--p /usr/lib/libc.so.6
7f0000128000-7f00002b0000 r-xp /usr/lib/libc.so.6
7f00002b0000-7f00002ff000 r--p /usr/lib/libc.so.6
7f00002ff000-7f0000301000 rw-p /usr/lib/libc.so.6
"""


NAMES = [
    ("rw-p [heap]", "main heap/kernel"),
    ("rw-p [stack]", "main stack/kernel"),
    ("rw-p [stack:1234]", "thread stack/kernel"),
    ("r-xp [vdso]", "kernel/kernel"),
    ("--xp [vsyscall]", "kernel/kernel"),
    ("rw-s /dev/zero (deleted)", "shared memory/kernel"),
    ("rw-s /SYSV0000002a (deleted)", "shared memory/kernel"),
    ("rw-s /memfd:anything (deleted)", "shared memory/kernel"),
    ("rwxs /memfd:anything (deleted)", "JIT code/position"),
    ("rw-s /memfd:doublemapper (deleted)", "JIT code/name/.NET"),
    ("r-xs /memfd:jit-cache (deleted)", "JIT code/name/ART"),
    ("rw-s /memfd:vmem (deleted)", "JIT code/name/BEAM"),
    ("rw-s /memfd:java_heap (deleted)", "JVM heap/name/HotSpot"),
    ("rw-s /memfd:memory-backend-memfd (deleted)", "guest memory/name"),
    ("r--p /usr/lib/jvm/lib/server/classes.jsa", "JVM other/name"),
    ("r-xp /usr/bin/x", "code/kernel"),
    ("r--p /usr/lib/libicudata.so.72.1", "program data/name"),
    ("r--p /usr/share/font.ttf", "mapped file/kernel"),
    ("rw-s /dev/nvidia0", "device memory/kernel/NVIDIA"),
    ("rw-s anon_inode:i915.gem", "device memory/kernel/DRM"),
    ("rw-s anon_inode:[perf_event]", "device memory/kernel"),
    ("rw-p {ht} /anon_hugepage (deleted)", "huge pages/kernel"),
    ("rw-p [anon: glibc: malloc arena]", "malloc arena/name/glibc"),
    ("rw-p [anon: glibc: malloc]", "malloc chunk/name/glibc"),
    ("rw-p [anon: glibc: pthread stack: 1234]", "thread stack/name"),
    ("rw-p [anon:stack_and_tls:1234]", "thread stack/name"),
    ("rw-p [anon: Go: heap]", "Go heap/name"),
    ("---p [anon: Go: heap reservation]", "reserved/name/Go"),
    ("rw-p [anon: Go: gc bits]", "Go runtime/name"),
    ("rw-p [anon:tcmalloc_region_NORMAL]", "allocator heap/name/tcmalloc"),
    ("rw-p [anon:jemalloc_pg]", "allocator heap/name/jemalloc"),
    ("rw-p [anon:mimalloc]", "allocator heap/name/mimalloc"),
    ("rw-p [anon:scudo:primary]", "allocator heap/name/scudo"),
    ("rw-p [anon:.bss]", "bss/name"),
    ("rwxp [anon:dalvik-jit-code-cache]", "JIT code/name/ART"),
    ("rw-p [anon:dalvik-main space]", "runtime heap/name/ART"),
    ("rw-p [anon:OCaml: heap]", "runtime heap/name/OCaml"),
    ("rw-p [anon:v8]", "JavaScript heap/name/V8"),
    ("rw-p [anon:guest-ram]", "guest memory/name"),
    ("rw-p [anon:whatever]", "named anonymous/name"),
    ("rwxp [anon:whatever]", "JIT code/position"),
    ("rw-p /dev/zero", "other anonymous/kernel"),
]
"""A line without addresses, and what decides it: kind, source and owner."""


class TestNames:
    @pytest.mark.parametrize(("line", "expected"), NAMES)
    def test_decides(self, line: str, expected: str) -> None:
        assert found(f"7f0000400000-7f0000500000 {line}") == [expected]

    @pytest.mark.parametrize("name", ["heap", "stack", "vdso", "[heap]", "glibc: malloc arena]"])
    def test_a_chosen_name_claims_no_more_than_a_name(self, name: str) -> None:
        (verdict,) = smapskit.kinds(process(f"1000-2000 rw-p [anon:{name}]"))
        assert verdict.source is KindSource.NAME
        assert verdict.kind is MappingKind.NAMED

    def test_a_file_named_like_kernel_memory_is_a_file(self) -> None:
        assert found("1000-2000 rw-p /usr/share/[heap]") == ["mapped file/kernel"]

    def test_a_file_named_like_a_memfd_is_a_file(self) -> None:
        file = Mapping(
            start=0x1000, end=0x2000, perms="rw-s", pathname="/memfd:java_heap", device="fe:00"
        )
        (verdict,) = smapskit.kinds([file])
        assert (verdict.kind, verdict.source) == (MappingKind.MAPPED_FILE, KindSource.KERNEL)

    def test_data_of_a_program_is_told_from_other_files(self) -> None:
        assert found(LIBC) == [
            "program data/kernel",
            "code/kernel",
            "program data/kernel",
            "program data/kernel",
        ]

    @pytest.mark.parametrize(
        ("name", "folded"),
        [
            ("[anon: glibc: pthread stack: 1234]", "[anon: glibc: pthread stack]"),
            ("[anon:stack_and_tls:99]", "[anon:stack_and_tls]"),
            ("[anon:stack_and_tls:main]", "[anon:stack_and_tls:main]"),
            ("[anon:region 0x7f00abcd]", "[anon:region]"),
            ("[stack:1234]", "[stack]"),
            ("[anon:mp3]", "[anon:mp3]"),
            ("[anon:1234]", "[anon]"),
            ("[heap]", "[heap]"),
            ("/usr/lib/libc.so.6", "/usr/lib/libc.so.6"),
            ("", ""),
        ],
    )
    def test_thread_ids_and_addresses_are_folded(self, name: str, folded: str) -> None:
        assert fold_name(name) == folded
        (verdict,) = smapskit.kinds(process(f"1000-2000 rw-p {name}"))
        assert verdict.name == folded


ARENA = """
7f0004000000-7f0004021000 rw-p
7f0004021000-7f0008000000 ---p
"""


class TestArenas:
    def test_is_64_mib_of_which_a_part_is_writable(self) -> None:
        assert found(ARENA) == ["malloc arena/position/glibc", "reserved/position/glibc"]

    def test_may_be_full(self) -> None:
        text = "7f0004000000-7f0008000000 rw-p"
        assert found(f"{text} {{rd wr mr mw me nr}}") == ["malloc arena/position/glibc"]
        assert found(f"{text} {{rd wr mr mw me ac}}") == ["other anonymous/kernel"]

    def test_full_heaps_and_the_next_one_are_one_mapping(self) -> None:
        text = """
            7f0004000000-7f000c100000 rw-p {rd wr nr}
            7f000c100000-7f0010000000 ---p {nr}
            """
        assert found(text)[0] == "malloc arena/position/glibc"

    def test_full_heaps_alone_are_one_mapping(self) -> None:
        text = "ee300000-ee500000 rw-p"
        assert found(text + " {rd wr mr mw me nr}") == ["malloc arena/position/glibc"]
        assert found(text) == ["other anonymous/kernel"]

    def test_of_32_bit_processes_is_1_mib(self) -> None:
        assert found(
            """
            f7a00000-f7a21000 rw-p
            f7a21000-f7b00000 ---p
            """
        ) == ["malloc arena/position/glibc", "reserved/position/glibc"]

    @pytest.mark.parametrize(
        "text",
        [
            "7f0004100000-7f0004121000 rw-p\n7f0004121000-7f0008100000 ---p",  # not aligned
            "7f0004000000-7f0004021000 rw-p\n7f0004021000-7f0007000000 ---p",  # not 64 MiB
            "7f0004000000-7f0004021000 rw-p\n7f0004022000-7f0008000000 ---p",  # a gap
            # HotSpot's metaspace: accounted once it is writable, in a reservation that is not.
            "7f0004000000-7f0004050000 rw-p {rd wr ac}\n7f0004050000-7f0008000000 ---p {nr}",
            "7f0004000000-7f0004021000 rw-s\n7f0004021000-7f0008000000 ---p",
        ],
    )
    def test_is_not_claimed_for_others(self, text: str) -> None:
        assert "malloc arena/position/glibc" not in found(text)

    def test_where_overcommit_is_disabled(self) -> None:
        # The kernel ignores MAP_NORESERVE (mm/mmap.c), so that neither part has `nr`.
        text = """
            7f0004000000-7f0004021000 rw-p {rd wr mr mw me ac}
            7f0004021000-7f0008000000 ---p {mr mw me}
            """
        assert found(text)[0] == "malloc arena/position/glibc"


STACKS = """
7f0008001000-7f0008002000 ---p {mr mw me nh}
7f0008002000-7f0008802000 rw-p {rd wr ac nh}
7f0008802000-7f0008803000 ---p {mr mw me nh}
7f0008803000-7f0009003000 rw-p {rd wr ac nh}
"""


class TestThreadStacks:
    def test_follow_a_guard(self) -> None:
        assert found(STACKS) == ["guard/position", "thread stack/position"] * 2

    @pytest.mark.parametrize("size_kb", [128, 256, 1008, 1024, 1028, 2048, 8192, 10_240])
    def test_have_a_usual_size_where_flags_do_not_tell(self, size_kb: int) -> None:
        guard = 0x4000 if size_kb == 1008 else 0x1000
        stack = 0x7F0008002000
        text = f"{stack - guard:x}-{stack:x} ---p\n{stack:x}-{stack + size_kb * 1024:x} rw-p"
        assert found(text) == ["guard/position", "thread stack/position"]

    def test_of_any_size_are_known_by_the_flag_of_map_stack(self) -> None:
        text = "7f0008001000-7f0008002000 ---p {nh}\n7f0008002000-7f000800a000 rw-p {ac nh}"
        assert found(text)[1] == "thread stack/position"
        assert found(text.replace("ac nh", "ac"))[1] == "other anonymous/kernel"

    def test_smaller_ones_are_for_signals(self) -> None:
        text = "7f0008001000-7f0008002000 ---p {nh}\n7f0008002000-7f0008004000 rw-p {ac nh}"
        assert found(text) == ["guard/position", "signal stack/position"]

    def test_of_musl_beside_a_signal_stack_of_rust(self) -> None:
        """Rust's library maps signal stacks with MAP_STACK, musl maps those of threads without."""
        text = """
            7f0008001000-7f0008002000 ---p {nh}
            7f0008002000-7f0008004000 rw-p {ac nh}
            7f0009000000-7f0009002000 ---p {mr mw me}
            7f0009002000-7f0009203000 rw-p {ac}
            """
        stacks = ["guard/position", "signal stack/position", "guard/position"]
        assert found(text) == [*stacks, "thread stack/position"]

    def test_sizes_do_not_tell_where_flags_do(self) -> None:
        text = "7f0007001000-7f0007002000 ---p\n7f0007002000-7f0007102000 rw-p {ac}\n"
        assert found(text)[1] == "thread stack/position"
        assert found(text + STACKS)[1] == "other anonymous/kernel"

    def test_with_guard_regions_in_place_of_guard_mappings(self) -> None:
        # glibc 2.42: each mapping includes its guard; MADV_GUARD_INSTALL sets `gu`.
        text = """
            7f0008000000-7f0008801000 rw-p {rd wr mr mw me ac nh gu}
            7f0009000000-7f0009801000 rw-p {rd wr mr mw me ac nh gu}
            7f000a000000-7f000a801000 rw-p {rd wr mr mw me ac nh}
            """
        assert found(text) == ["thread stack/position"] * 2 + ["other anonymous/kernel"]

    def test_need_a_guard_directly_before(self) -> None:
        text = "7f0008000000-7f0008001000 ---p\n7f0008002000-7f0008802000 rw-p"
        assert found(text) == ["guard/kernel", "other anonymous/kernel"]
        text = "7f0007000000-7f0008002000 ---p\n7f0008002000-7f0008802000 rw-p"
        assert found(text) == ["reserved/kernel", "other anonymous/kernel"]

    def test_two_hundred_are_one_group(self) -> None:
        names = "".join(
            f"{0x7F0000000000 + n * 0x1000000:x}-{0x7F0000000000 + n * 0x1000000 + 0x800000:x} "
            f"rw-p [anon: glibc: pthread stack: {n + 1}]\n"
            for n in range(200)
        )
        verdicts = smapskit.kinds(process(names))
        assert {(v.kind, v.name) for v in verdicts} == {
            (MappingKind.THREAD_STACK, "[anon: glibc: pthread stack]")
        }
        groups = smapskit.group_by(process(names), "kind")
        assert {kind: total.count for kind, total in groups.items()} == {
            MappingKind.THREAD_STACK: 200
        }


GO = """
c000000000-c000400000 rw-p
c000400000-c004000000 ---p
"""
JAVA_HEAP = """
687400000-687c00000 rw-p
687c00000-7ff800000 ---p
"""
JVM = """
7f0000100000-7f0000200000 r-xp /usr/lib/jvm/lib/server/libjvm.so
7f0af0000000-7f0af0080000 rw-p
7f0af0080000-7f0af0400000 ---p
"""
NODE = """
00400000-02600000 r-xp /usr/bin/node
5e383480000-5e3834c0000 rw-p
"""


GO_ELSEWHERE = """
202e18000000-202e1b400000 ---p
202e1b400000-202e20800000 rw-p
202e20800000-202e24000000 ---p
7fd9681be000-7fd968500000 rw-p
7fd96a600000-7fd97e65c000 ---p
7fd97e65c000-7fd97e65d000 rw-p
7fd97e65d000-7fd99e65c000 ---p
7fd99e65c000-7fd99e65d000 rw-p
7fd99e65d000-7fd9ace0b000 ---p
7fd9ace0b000-7fd9ace0c000 rw-p
7fd9ace0c000-7fd9aeb01000 ---p
"""
ASAN = """
7fff7000-8fff7000 rw-p {nr}
8fff7000-2008fff7000 ---p {nr}
2008fff7000-10007fff8000 rw-p {nr}
602000000000-602000010000 rw-p {ac}
602000010000-602e00000000 ---p {nr}
"""
BLOCK = "7f0000400000-7f0000600000 rw-p"
UNACCOUNTED = "7f0000400000-7f0000480000 rw-p {rd wr mr mw me nr}"
PROGRAMS = [
    ("lib/libjvm.so", "687400000-687c00000 rw-p", "JVM heap/position"),
    ("lib/libj9vm29.so", "687400000-687c00000 rw-p", "JVM heap/position"),
    (
        "lib/libjvm.so",
        "7f0000400000-7f0000410000 rw-p\n7f0000410000-7f0000500000 ---p",
        "JVM other/guess",
    ),
    ("bin/node", UNACCOUNTED, "JavaScript heap/position/V8"),
    ("bin/node", UNACCOUNTED.replace("7f0000400000", "7f0000401000"), "JavaScript heap/guess/V8"),
    ("lib/libxul.so", "bb3d3b00000-bb3d3c00000 rw-p", "JavaScript heap/guess/SpiderMonkey"),
    ("lib/libxul.so", BLOCK, "allocator heap/guess/mozjemalloc"),
    ("bin/chromium", "f3400004000-f34001f4000 rw-p {ac}", "allocator heap/guess/PartitionAlloc"),
    (
        "lib/libtsan.so.2",
        "10000000000-20000000000 rw-p {nr}",
        "sanitizer shadow/guess/ThreadSanitizer",
    ),
    (
        "lib/libtsan.so.2",
        "7b400000000-7b400100000 rw-p {ac}",
        "allocator heap/guess/ThreadSanitizer",
    ),
    ("lib/libtsan.so.2", BLOCK, "allocator heap/guess/ThreadSanitizer"),
    ("lib/wine/wine64", "14a0000-1620000 rw-p", "runtime heap/guess/Wine"),
    ("lib/wine/wine64", "241b91000-241baa000 r-xp", "code/guess/Wine"),
    ("bin/pypy3", BLOCK, "runtime heap/guess/PyPy"),
    ("bin/qemu-system-x86_64", BLOCK + " {dc ac hg mg}", "guest memory/position"),
    ("lib/libjemalloc.so.2", UNACCOUNTED, "allocator heap/guess/jemalloc"),
    ("bin/redis-server", UNACCOUNTED, "allocator heap/guess/jemalloc"),
    ("lib/libtcmalloc_minimal.so.4", BLOCK, "allocator heap/guess/tcmalloc"),
    ("lib/libmimalloc.so.2.0", UNACCOUNTED, "allocator heap/guess/mimalloc"),
    ("lib/libasan.so.8.0.0", BLOCK, "allocator heap/guess/AddressSanitizer"),
    ("lib/ld-musl-x86_64.so.1", BLOCK, "allocator heap/guess/musl"),
    ("lib/x86_64-linux-musl/libc.so", BLOCK, "allocator heap/guess/musl"),
    ("bin/python3.12", BLOCK, "runtime heap/guess/CPython"),
    ("lib/libpython3.12.so.1.0", BLOCK, "runtime heap/guess/CPython"),
    ("bin/php8.2", BLOCK, "runtime heap/guess/PHP"),
    ("lib/libcoreclr.so", BLOCK, "runtime heap/guess/.NET"),
    ("lib/erlang/bin/beam.smp", BLOCK, "runtime heap/guess/BEAM"),
    ("lib/libruby-3.1.so.3.1.2", BLOCK, "runtime heap/guess/Ruby"),
    ("bin/mono-sgen", BLOCK, "runtime heap/guess/Mono"),
    ("bin/luajit", BLOCK, "runtime heap/guess/LuaJIT"),
    ("lib/libc.so.6", BLOCK, "malloc chunk/guess/glibc"),
    ("lib/libc.so.6", "7f0004000000-7f0008000000 rw-p {ac}", "malloc arena/guess/glibc"),
]
"""A mapped program or library, a mapping, and what it is in such a process."""


class TestPositions:
    def test_bss_follows_writable_data_of_a_program(self) -> None:
        program = "5600000000-5600001000 r-xp /usr/bin/x\n5600001000-5600002000 rw-p /usr/bin/x\n"
        assert found(program + "5600002000-5610000000 rw-p\n" + LIBC)[2] == "bss/position"
        libc = program + LIBC
        assert found(libc + "7f0000301000-7f000030e000 rw-p")[-1] == "bss/position"
        assert found(libc + "7f0000301000-7f0000400000 rw-p")[-1] != "bss/position"
        assert found(libc + "7f0000302000-7f000030e000 rw-p")[-1] == "other anonymous/kernel"

    def test_memory_after_a_mapped_file_is_not_bss(self) -> None:
        text = "7f0000300000-7f0000301000 rw-p /usr/share/x\n7f0000301000-7f000030e000 rw-p"
        assert found(text) == ["mapped file/kernel", "other anonymous/kernel"]

    def test_generated_code_is_executable_without_a_file(self) -> None:
        assert found("7f0000400000-7f0000500000 rwxp") == ["JIT code/position"]
        assert found("7f0000400000-7f0000500000 r-xp") == ["JIT code/position"]

    def test_the_heap_of_go_begins_at_a_fixed_address(self) -> None:
        assert found(GO) == ["Go heap/position", "reserved/kernel"]
        assert found("c000400000-c000800000 rw-p") == ["other anonymous/kernel"]

    def test_the_java_heap_is_at_low_addresses_of_a_jvm(self) -> None:
        assert found(JAVA_HEAP + JVM) == [
            "JVM heap/position",
            "reserved/kernel",
            "code/kernel",
            "JVM other/guess",
            "reserved/kernel",
        ]
        assert found(JAVA_HEAP)[0] == "other anonymous/kernel"

    def test_pages_of_v8_are_aligned(self) -> None:
        assert found(NODE) == ["code/kernel", "JavaScript heap/position/V8"]
        assert found(NODE.replace("node", "nodes"))[1] == "other anonymous/kernel"

    def test_the_heap_of_go_may_be_elsewhere(self) -> None:
        """Go 1.26 and later begins it at a random address."""
        assert found(GO_ELSEWHERE)[1] == "Go heap/position"
        assert found(GO_ELSEWHERE)[3] == "Go runtime/guess"
        without_summaries = "\n".join(GO_ELSEWHERE.splitlines()[:4])
        assert found(without_summaries)[1] == "other anonymous/kernel"

    @pytest.mark.parametrize(("program", "mapping", "expected"), PROGRAMS)
    def test_programs_and_libraries_decide_what_is_left(
        self, program: str, mapping: str, expected: str
    ) -> None:
        text = f"7f00f0000000-7f00f0010000 r-xp /usr/{program}\n{mapping}"
        assert expected in found(text)
        deleted = text.replace(program, f"{program} (deleted)")
        assert expected in found(deleted)
        other = text.replace(f"/usr/{program}", "/usr/bin/other")
        assert expected not in found(other)
        mapped_only = text.replace("r-xp", "r--p")
        assert expected not in found(mapped_only)

    def test_large_blocks_of_glibc_are_a_guess(self) -> None:
        block = "7f0000400000-7f0000421000 rw-p"
        assert found(LIBC + block)[-1] == "malloc chunk/guess/glibc"
        small = "7f0000400000-7f0000420000 rw-p"  # 128 KiB: without malloc's header
        assert found(LIBC + small)[-1] == "other anonymous/kernel"
        far = "00400000000-00500000000 rw-p\n"  # an address that mmap does not choose
        assert found(far + LIBC)[0] == "other anonymous/kernel"
        readable = "7f0000400000-7f0000421000 r--p"
        assert found(LIBC + readable)[-1] == "other anonymous/kernel"

    def test_address_sanitizer(self) -> None:
        assert [text for text in found(ASAN) if "reserved" not in text] == [
            "sanitizer shadow/position/AddressSanitizer",
            "sanitizer shadow/position/AddressSanitizer",
            "allocator heap/position/AddressSanitizer",
        ]
        elsewhere = ASAN.replace("7fff7000-8fff7000", "7fff8000-8fff7000")
        assert {text for text in found(elsewhere) if "reserved" not in text} == {
            "other anonymous/kernel"
        }

    def test_no_row_of_the_table_is_hidden_by_those_before_it(self) -> None:
        texts = [f"7f0000400000-7f0000500000 {line}" for line, _ in NAMES]
        bss = LIBC + "7f0000301000-7f000030e000 rw-p\n7f000030e000-7f000030f000 ---p"
        texts += [ARENA, STACKS, GO, GO_ELSEWHERE, JAVA_HEAP + JVM, NODE, ASAN, bss]
        texts += [
            f"7f00f0000000-7f00f0010000 r-xp /usr/{p}\n{BLOCK}"
            for p in ("lib/libjemalloc.so.2", "lib/libmimalloc.so.2")
        ]
        texts += ["1000-2000 ---p {nh}\n2000-4000 rw-p {ac nh}"]
        texts += [f"7f00f0000000-7f00f0010000 r-xp /usr/{p}\n{text}" for p, text, _ in PROGRAMS]
        texts += ["7f0000400000-7f0000500000 r--p [ anon ]", "7f0000400000-7f0000500000 rwxp"]
        decided = {
            int(rule) for text in texts for rule in rules_of(Places.of([to_columns(process(text))]))
        }
        assert [rule for at, rule in enumerate(KIND_RULES) if at not in decided] == []


class TestKinds:
    def test_of_nothing(self) -> None:
        assert smapskit.kinds([]) == []
        assert smapskit.group_by([], "kind") == {}

    def test_of_addresses_that_no_kernel_has(self) -> None:
        mappings = [Mapping(start=0, end=1 << 70, perms="rw-p")]
        assert [v.kind for v in smapskit.kinds(mappings)] == [MappingKind.OTHER_ANONYMOUS]

    def test_groups_have_the_sums_of_their_mappings(self, process_folder: Path) -> None:
        snapshot = smapskit.load(process_folder / "smaps.txt")
        verdicts = smapskit.kinds(snapshot)
        groups = snapshot.group_by("kind")
        assert groups == smapskit.group_by(snapshot, "kind")
        assert sum(total.count for total in groups.values()) == len(snapshot)
        for kind, total in groups.items():
            members = [m for m, v in zip(snapshot, verdicts, strict=True) if v.kind is kind]
            assert total == smapskit.totals(members)

    def test_do_not_depend_on_where_the_columns_are_cut(self, process_folder: Path) -> None:
        snapshot = smapskit.load(process_folder / "smaps.txt")
        whole = [v.kind for v in smapskit.kinds(snapshot)]
        cut = [snapshot.mappings[at : at + 3] for at in range(0, len(snapshot), 3)]
        parts = [to_columns(mappings) for mappings in cut]
        assert [kind for part in kinds_of(parts) for kind in part] == whole
        assert kinds_of([]) == []

    def test_of_pmap_are_those_of_smaps_where_pmap_tells(self, process_folder: Path) -> None:
        """The longest layout of pmap has every field but the words in brackets."""
        smaps = smapskit.load(process_folder / "smaps.txt")
        pmap = smapskit.load(process_folder / "pmap-XXp.txt")
        assert [v.kind for v in smapskit.kinds(pmap)] == [v.kind for v in smapskit.kinds(smaps)]

    def test_of_a_short_pmap_table(self, process_folder: Path) -> None:
        verdicts = smapskit.kinds(smapskit.load(process_folder / "pmap-x.txt"))
        unknown = [v for v in verdicts if v.kind is MappingKind.UNKNOWN]
        assert all(v.source is KindSource.GUESS for v in unknown)
        assert {MappingKind.MAIN_STACK, MappingKind.CODE} <= {v.kind for v in verdicts}


LABELS = {
    "main-malloc": {MappingKind.MAIN_HEAP, MappingKind.ALLOCATOR},
    "large-malloc": {MappingKind.MALLOC_CHUNK, MappingKind.ALLOCATOR, MappingKind.MAIN_HEAP},
    "thread-malloc": {MappingKind.MALLOC_ARENA, MappingKind.ALLOCATOR, MappingKind.MAIN_HEAP},
    "main-stack": {MappingKind.MAIN_STACK},
    "thread-stack": {MappingKind.THREAD_STACK},
    "bss": {MappingKind.BSS, MappingKind.PROGRAM_DATA},
    "java-heap": {MappingKind.JVM_HEAP},
    "code-heap": {MappingKind.JIT_CODE},
    "heap": {MappingKind.GO_HEAP},
    "small-object": {MappingKind.RUNTIME_HEAP},
    "large-object": {MappingKind.MALLOC_ARENA, MappingKind.RUNTIME_HEAP},
    "array": {MappingKind.MALLOC_CHUNK},
    "small-array": {MappingKind.MAIN_HEAP},
    "object": {MappingKind.RUNTIME_HEAP, MappingKind.MAIN_HEAP},
}
"""What the addresses may be that the programs of the captures printed."""
STACKS_OF = {
    "glibc-2.43": (1, "adjacent stacks with guard regions are one mapping"),
    "musl": (7, "the kernel joined the stack of a thread with memory above it"),
    "go-1.19": (0, "the stacks of goroutines are in Go's heap"),
    "go-1.27": (0, "the stacks of goroutines are in Go's heap"),
    "wine": (0, "the stack of Windows programs is not made by libc"),
    "ruby": (40, "32 stacks are of fibers"),
    "ruby-yjit": (40, "32 stacks are of fibers"),
    "firefox": (82, "glibc keeps the stacks of ended threads"),
    "firefox-content": (38, "glibc keeps the stacks of ended threads"),
}
"""Captures in which there is not one mapping for the stack of each thread, and why."""


@pytest.mark.parametrize("name", RUNTIME_CAPTURES)
class TestRuntimes:
    def test_most_memory_has_a_kind(self, name: str) -> None:
        snapshot = smapskit.load(RUNTIMES / f"{name}.smaps.gz")
        groups = snapshot.group_by("kind")
        assert MappingKind.UNKNOWN not in groups
        other = groups.get(MappingKind.OTHER_ANONYMOUS)
        named = 1 - (other.rss or 0) / (snapshot.totals().rss or 1) if other else 1
        assert named > 0.995

    def test_addresses_that_the_program_printed_have_their_kind(self, name: str) -> None:
        snapshot = smapskit.load(RUNTIMES / f"{name}.smaps.gz")
        for label, addresses in RUNTIME_CAPTURES[name]["known"].items():
            found = {kind_at(snapshot, address) for address in addresses}
            if (name, label) == ("musl", "thread-stack"):  # see STACKS_OF
                found -= {MappingKind.ALLOCATOR}
            assert found <= LABELS[label], label

    def test_each_thread_has_a_stack(self, name: str) -> None:
        snapshot = smapskit.load(RUNTIMES / f"{name}.smaps.gz")
        capture = RUNTIME_CAPTURES[name]
        groups = snapshot.group_by("kind")
        stacks = groups[MappingKind.THREAD_STACK].count if "thread stack" in groups else 0
        expected, _ = STACKS_OF.get(name, (capture["threads"] - 1, ""))
        assert stacks == expected
        assert groups[MappingKind.MAIN_STACK].count == 1
        at = {kind_at(snapshot, address) for address in capture["stack_pointers"]}
        at -= {MappingKind.MAIN_STACK, MappingKind.THREAD_STACK}
        in_heap = {"go-1.19": MappingKind.GO_HEAP, "go-1.27": MappingKind.GO_HEAP}
        in_heap["musl"] = MappingKind.ALLOCATOR
        in_heap["wine"] = MappingKind.RUNTIME_HEAP
        assert at == ({in_heap[name]} if name in in_heap else set())


OF_RUNTIME = {
    MappingKind.JVM_HEAP: "jvm",
    MappingKind.JVM_OTHER: "jvm",
    MappingKind.GO_HEAP: "go",
    MappingKind.GO_RUNTIME: "go",
    MappingKind.JAVASCRIPT_HEAP: "node|chromium|firefox",
    MappingKind.RUNTIME_HEAP: "cpython|dotnet|erlang|luajit|mono|php|pypy|ruby|wine",
    MappingKind.GUEST_MEMORY: "qemu",
    MappingKind.SHADOW_MEMORY: "[at]san",
    MappingKind.ALLOCATOR: "[a-z]*malloc|musl|redis|[at]san|chromium|firefox",
}
"""The captures in which a kind occurs."""


@pytest.mark.parametrize("name", RUNTIME_CAPTURES)
def test_a_runtime_is_claimed_only_where_it_runs(name: str) -> None:
    kinds = set(smapskit.load(RUNTIMES / f"{name}.smaps.gz").group_by("kind"))
    assert {k for k in kinds & set(OF_RUNTIME) if not re.match(OF_RUNTIME[k], name)} == set()


@pytest.mark.parametrize(
    ("name", "kind", "owner"),
    [
        ("asan", MappingKind.SHADOW_MEMORY, "AddressSanitizer"),
        ("chromium-browser", MappingKind.ALLOCATOR, "PartitionAlloc"),
        ("chromium-renderer", MappingKind.JAVASCRIPT_HEAP, "V8"),
        ("cpython", MappingKind.RUNTIME_HEAP, "CPython"),
        ("dotnet", MappingKind.RUNTIME_HEAP, ".NET"),
        ("erlang", MappingKind.RUNTIME_HEAP, "BEAM"),
        ("firefox", MappingKind.ALLOCATOR, "mozjemalloc"),
        ("firefox", MappingKind.JAVASCRIPT_HEAP, "SpiderMonkey"),
        ("jemalloc", MappingKind.ALLOCATOR, "jemalloc"),
        ("jvm-z", MappingKind.JVM_HEAP, "HotSpot"),
        ("luajit", MappingKind.RUNTIME_HEAP, "LuaJIT"),
        ("mimalloc", MappingKind.ALLOCATOR, "mimalloc"),
        ("mono", MappingKind.RUNTIME_HEAP, "Mono"),
        ("musl", MappingKind.ALLOCATOR, "musl"),
        ("node", MappingKind.JAVASCRIPT_HEAP, "V8"),
        ("php", MappingKind.RUNTIME_HEAP, "PHP"),
        ("qemu", MappingKind.GUEST_MEMORY, ""),
        ("redis", MappingKind.ALLOCATOR, "jemalloc"),
        ("ruby", MappingKind.RUNTIME_HEAP, "Ruby"),
    ],
)
def test_the_owner_of_most_memory_of_a_kind(name: str, kind: MappingKind, owner: str) -> None:
    snapshot = smapskit.load(RUNTIMES / f"{name}.smaps.gz")
    rss = {True: 0, False: 0}
    for mapping, verdict in zip(snapshot, smapskit.kinds(snapshot), strict=True):
        if verdict.kind is kind:
            rss[verdict.owner == owner] += mapping.rss or 0
    assert rss[True] > 1_000
    assert rss[True] > 10 * rss[False]


@pytest.mark.parametrize(
    ("name", "count"),
    [("glibc", 8), ("glibc-arenas-2", 1), ("glibc-2.43", 8), ("rust", 8), ("cpython", 8)],
)
def test_arenas_of_captures(name: str, count: int) -> None:
    """Eight threads call malloc, in one capture with at most one arena beside the main one."""
    groups = smapskit.load(RUNTIMES / f"{name}.smaps.gz").group_by("kind")
    assert groups[MappingKind.MALLOC_ARENA].count == count


def kind_at(snapshot: smapskit.Snapshot, address: str) -> MappingKind:
    at = int(address, 16)
    verdicts = smapskit.kinds(snapshot)
    (kind,) = (v.kind for m, v in zip(snapshot, verdicts, strict=True) if m.start <= at < m.end)
    return kind


@pytest.mark.parametrize(
    ("folder", "kind", "count"),
    [
        ("java", MappingKind.THREAD_STACK, 18),
        ("java", MappingKind.MALLOC_ARENA, 15),
        ("java", MappingKind.JVM_HEAP, 4),
        ("node", MappingKind.THREAD_STACK, 6),
        ("node", MappingKind.MALLOC_ARENA, 1),
        ("node", MappingKind.JAVASCRIPT_HEAP, 20),
        ("postgres", MappingKind.SHARED_MEMORY, 3),
        ("all_mapping_kinds", MappingKind.THREAD_STACK, 1),
        ("all_mapping_kinds", MappingKind.MALLOC_ARENA, 1),
    ],
)
def test_captures(folder: str, kind: MappingKind, count: int) -> None:
    groups = smapskit.load(FIXTURES / folder / "smaps.txt").group_by("kind")
    assert groups[kind].count == count
