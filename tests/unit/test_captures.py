from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support import kernel_texts
from support.paths import FIXTURES

import smapskit
from smapskit import ParseError, Unsupported
from smapskit.sources import captures

ALL_KINDS = FIXTURES / "all_mapping_kinds"
SMAPS = (ALL_KINDS / "smaps.txt").read_bytes()


class Trickle(io.BytesIO):
    """A file that returns some bytes a read, as pipes and the kernel's files do."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._most = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def zstd_compress(data: bytes) -> bytes:
    module = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    compressed: bytes = pytest.importorskip(module).compress(data)
    return compressed


class TestLoad:
    @pytest.mark.parametrize("file", sorted(ALL_KINDS.glob("*.txt")), ids=lambda file: file.name)
    def test_the_format_is_detected_from_the_content(self, file: Path, tmp_path: Path) -> None:
        copy = tmp_path / "capture"
        copy.write_bytes(file.read_bytes())
        if file.name == "smaps_rollup.txt":
            assert smapskit.load_rollup(copy) == smapskit.parse_rollup(file.read_bytes())
            return
        parse = {
            "smaps.txt": smapskit.parse_smaps,
            "maps.txt": smapskit.parse_maps,
        }.get(file.name, smapskit.parse_pmap)
        snapshot = smapskit.load(copy)
        assert snapshot.mappings == parse(file.read_bytes()).mappings
        assert snapshot.source == str(copy)
        assert len(snapshot) > 100

    @pytest.mark.parametrize(
        "compress", [gzip.compress, bz2.compress, lzma.compress, zstd_compress]
    )
    def test_compressed_captures(self, compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
        copy = tmp_path / "smaps.txt"  # the name does not tell the format
        copy.write_bytes(compress(SMAPS))
        assert smapskit.load(copy).mappings == smapskit.parse_smaps(SMAPS).mappings

    def test_open_files(self) -> None:
        whole = smapskit.parse_smaps(SMAPS).mappings
        assert smapskit.load(io.BytesIO(gzip.compress(SMAPS))).mappings == whole
        with (ALL_KINDS / "smaps.txt").open("rb") as binary:
            loaded = smapskit.load(binary)
            assert (loaded.mappings, loaded.source) == (whole, str(ALL_KINDS / "smaps.txt"))
        with (ALL_KINDS / "smaps.txt").open(
            encoding="utf-8", errors="surrogateescape", newline=""
        ) as text:
            assert smapskit.load(text).mappings == whole

    def test_an_unbuffered_file_is_read_to_its_end(self) -> None:
        file = ALL_KINDS / "smaps.txt"
        whole = smapskit.load(file)
        with file.open("rb", buffering=0) as raw:
            assert smapskit.load(raw).mappings == whole.mappings
        for size in (1000, 65536):
            assert smapskit.load(Trickle(SMAPS, size)).mappings == whole.mappings
            assert smapskit.load(Trickle(gzip.compress(SMAPS), size)).mappings == whole.mappings
        rollup = (ALL_KINDS / "smaps_rollup.txt").read_bytes()
        assert smapskit.load_rollup(Trickle(rollup, 10)) == smapskit.parse_rollup(rollup)

    def test_a_pipe_is_read_to_its_end(self) -> None:
        reading, writing = os.pipe()

        def write() -> None:
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(SMAPS)

        thread = threading.Thread(target=write)
        thread.start()
        with os.fdopen(reading, "rb", buffering=0) as pipe:
            found = smapskit.load(pipe)
        thread.join()
        assert found.mappings == smapskit.parse_smaps(SMAPS).mappings
        assert found.notes == ()

    @pytest.mark.skipif(sys.platform == "win32", reason="its pipes always wait")
    def test_a_pipe_that_does_not_block_is_rejected(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.write(writing, SMAPS[:4096])
        with os.fdopen(reading, "rb", buffering=0) as pipe, pytest.raises(BlockingIOError):
            smapskit.load(pipe)
        os.close(writing)

    def test_several_processes(self, tmp_path: Path) -> None:
        several = tmp_path / "several.txt"
        several.write_bytes((ALL_KINDS / "pmap.txt").read_bytes() * 2)
        assert len(smapskit.load_all(several)) == 2
        with pytest.raises(ParseError, match=r"several\.txt: expected one process, got 2"):
            smapskit.load(several)

    def test_an_empty_file_is_an_empty_snapshot(self) -> None:
        snapshot = smapskit.load(io.BytesIO(b""))
        assert (len(snapshot), len(snapshot.notes)) == (0, 1)


class TestRejected:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                kernel_texts.HEADER.replace("/usr/bin/head", "[rollup]").encode(),
                "load_rollup reads it",
            ),
            (b"Rss: 4 kB\n", "line 1: .*the beginning is truncated"),
            (b"$ tail -n 9 /proc/1/smaps\nRss: 4 kB\n", "line 2: .*the beginning is truncated"),
        ],
    )
    def test_parts_of_known_formats(self, text: bytes, message: str) -> None:
        with pytest.raises(ParseError, match=message):
            smapskit.load(io.BytesIO(text))

    @pytest.mark.parametrize(
        ("line", "name"),
        [
            ("55a9e753c000 default file=/usr/bin/x mapped=52", "numa_maps"),
            ("7f00aaa00000 bind:0-1 anon=3 dirty=3", "numa_maps"),
            (" virtual    shared   shared  private", "showmap of Android"),
            ("   size      RSS      PSS    clean    dirty", "showmap of Android"),
            ("memory map (12 entries):", "a memory map in a tombstone of Android"),
            ("    0000007f'b7a00000-0000007f'b7bfffff rw- 0 200000", "a memory map in a tombstone"),
            ("Applications Memory Usage (in Kilobytes):", "dumpsys meminfo of Android"),
            ("** MEMINFO in pid 5555 [com.x] **", "dumpsys meminfo of Android"),
            ("MemTotal:       24 kB", "/proc/meminfo"),
            ("Name:\tcat\nUmask:\t0022", "/proc/PID/status"),
            ("Name:\tcat\nState:\tR (running)", "/proc/PID/status"),
            ("     Start Addr   End Addr       Size     Offset objfile", "a map of gdb"),
            ("      0x400000   0x456000    0x56000        0x0 /x", "a map of gdb"),
            ("  0x400000   0x456000    0x56000        0x0  r-xp  /x", "a map of gdb"),
            ("==12==Process memory map follows:", "a map of AddressSanitizer"),
            ("\t0x061155cae000-0x061156000000\t", "a map of AddressSanitizer"),
            ("  PID              START                END PRT  RES", "procstat -v of FreeBSD"),
            ("  723  0x400000  0x406000 r-x  5  6  1  0 CN-- vn /x", "procstat -v of FreeBSD"),
            ("Virtual Memory Map of process 12 (Finder)", "vmmap of macOS"),
            ("__TEXT  10f2c3000-10f2c4000 [ 4K 4K 0K 0K] r-x/r-x SM=COW /x", "vmmap of macOS"),
            ('"Type","Size","Committed","Private","Total WS"', "VMMap of Windows"),
            ("08048000    136K read/exec   /bin/csh", "pmap of NetBSD"),
            ("USER         PID %CPU %MEM    VSZ   RSS TTY", "a table of ps or top"),
            ("    PID TTY          TIME CMD", "a table of ps or top"),
            ("    PID USER      PR  NI    VIRT    RES    SHR S  %CPU", "a table of ps or top"),
            ("  PID User     Command       Swap      USS      PSS      RSS", "a table of smem"),
            ("==== Writable regions for process 12", "vmmap of macOS"),
            ("REGION TYPE          START - END      [ VSIZE  RSDNT  DIRTY", "vmmap of macOS"),
            ("Total PSS by process:", "dumpsys meminfo of Android"),
            ("|| `[0x10007fff8000, 0x7fffffffffff]` || HighMem    ||", "a map of AddressSanitizer"),
            ("--12:0: aspacem  0: RSVN 0000000000-00003fffff 4194304 -----", "a map of Valgrind"),
            ("LEGEND: STACK | HEAP | CODE | DATA | RWX | RODATA", "vmmap of pwndbg"),
            ("Start    End         Size  Offset rwxpc  RWX  I/W/A Dev", "procmap of OpenBSD"),
            ("00000000-00000fff : Reserved", "/proc/iomem"),
            ("lr-------- 1 root root 64 Nov 24 12:00 400000-456000 -> /x", "a list of map_files"),
            ("cat invoked oom-killer: gfp_mask=0x0", "an OOM report of the kernel"),
        ],
    )
    def test_other_formats_are_named_with_the_line(self, line: str, name: str) -> None:
        for before in ("", "$ cat x\n\n", "Process:  x [12]\n"):
            with pytest.raises(ParseError) as caught:
                smapskit.load(io.BytesIO(f"{before}{line}\n".encode()))
            assert f"expected smaps, maps or the output of pmap, got {name}" in str(caught.value)
            assert caught.value.line_number == before.count("\n") + 1
            assert caught.value.line == line.partition("\n")[0]

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("<!DOCTYPE html>\n<html><body>x</body></html>\n", "an HTML page; save the listing"),
            ('<?xml version="1.0"?>\n<html/>\n', "an HTML page"),
            ('\n[{"rss": 1}]\n', "a JSON document"),
            ('{\n "rss": 1\n}\n', "a JSON document"),
        ],
    )
    def test_documents(self, text: str, name: str) -> None:
        with pytest.raises(ParseError, match=f"got {name}"):
            smapskit.load(io.BytesIO(text.encode()))

    @pytest.mark.parametrize(
        "text",
        [
            "cat: /proc/1/smaps: Permission denied\n",
            "bash: line 1: pmap: command not found\n",
        ],
    )
    def test_the_error_message_of_a_command(self, text: str) -> None:
        with pytest.raises(ParseError, match=r"got the error message of a command: "):
            smapskit.load(io.BytesIO(text.encode()))

    @pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
    @pytest.mark.parametrize("name", ["status", "stat", "statm", "limits", "io"])
    def test_other_files_of_a_process_are_named(self, name: str) -> None:
        with pytest.raises(ParseError, match=f"got /proc/PID/{name}; read smaps or maps"):
            smapskit.load(f"/proc/self/{name}")

    def test_what_smapskit_writes_is_named(self, tmp_path: Path) -> None:
        snapshot = smapskit.parse_smaps(SMAPS)
        written = {
            "JSON written by --json": smapskit.to_json([snapshot]),
            "CSV written by --csv": smapskit.to_csv([snapshot]),
        }
        for name, text in written.items():
            with pytest.raises(ParseError, match=f"got {name}"):
                smapskit.load(io.BytesIO(text.encode()))
        recording = tmp_path / "x.csv"
        smapskit.record(os.getpid(), 0.01, 0.02, path=recording)
        with pytest.raises(ParseError, match=r"got a recording; smapskit plot FILE draws it"):
            smapskit.load(recording)

    @pytest.mark.parametrize(
        ("data", "kind"),
        [
            (b"\x7fELF\x02\x01\x01" + bytes(500), ": a program, a library or a core file (ELF)"),
            (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\0" + bytes(9), ": a core file (ELF)"),
            (b"PK\x03\x04" + SMAPS, ": a zip archive: extract it first"),
            (
                b"smaps.txt".ljust(257, b"\0") + b"ustar" + SMAPS,
                ": a tar archive: extract it first",
            ),
            (b"\x89PNG\r\n", ": a picture"),
            (b"sleep\x001000\x00", ""),
        ],
    )
    def test_a_binary_file_is_called_binary(self, data: bytes, kind: str) -> None:
        for load in (smapskit.load, smapskit.load_rollup):
            for packed in (data, gzip.compress(data)):
                with pytest.raises(ParseError) as caught:
                    load(io.BytesIO(packed))
                assert str(caught.value) == f"expected text, got a binary file{kind}"

    @pytest.mark.parametrize(
        "rows",
        [
            "00042000      40      40       8       - rwx--    [ heap ]",
            "FF180000     680     680       -       - r-x--  libc.so.1",
            "FF180000     680K r-x--  /usr/lib/libc.so.1",
            "FFFFFFFF7F200000     680K r-x--  /usr/lib/64/libc.so.1",
            "fe000000      16K rw---    [ stack tid=3 ]",
            " Address  Kbytes     RSS    Anon  Locked Mode   Mapped File",
        ],
    )
    def test_the_pmap_of_solaris(self, rows: str) -> None:
        text = f"12:   ksh\n{rows}\n00010000      192K r-x--  /usr/bin/ksh\n"
        for parse in (smapskit.parse_pmap, lambda text: smapskit.load(io.BytesIO(text.encode()))):
            with pytest.raises(ParseError, match="got pmap of Solaris") as caught:
                parse(text)
            assert (caught.value.line_number, caught.value.line) == (2, rows)

    def test_a_name_of_another_format_beside_a_listing_is_no_reason(self) -> None:
        text = "2:   cat\n0000000000400000      4K r---- MemTotal:\nno row\n"
        with pytest.raises(ParseError) as caught:
            smapskit.load(io.BytesIO(text.encode()))
        assert (caught.value.line_number, caught.value.line) == (3, "no row")

    def test_any_other_text_is_none_of_the_known_ones(self) -> None:
        with pytest.raises(ParseError) as caught:
            smapskit.load(io.BytesIO(b"\nhello\nworld\n"))
        assert caught.value.message.startswith("none of smaps, smaps_rollup, maps or pmap: ")
        assert (caught.value.line_number, caught.value.line) == (2, "hello")
        # Each line that it expects is one that it reads.
        examples = re.findall("'(.*?)'", caught.value.message)
        assert [len(smapskit.load(io.BytesIO(line.encode()))) for line in examples] == [1, 1]

    @pytest.mark.parametrize(
        "compress", [gzip.compress, bz2.compress, lzma.compress, zstd_compress]
    )
    def test_damaged_compression(self, compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
        damaged = tmp_path / "x.gz"
        damaged.write_bytes(compress(SMAPS)[:-40])
        with pytest.raises(ParseError, match=r"x\.gz: expected complete \w+ data"):
            smapskit.load(damaged)

    def test_more_than_the_limit(self) -> None:
        bomb = gzip.compress(bytes(10_000_000))
        for text in (bomb, b"x\n" * 1_000_000):
            with pytest.raises(ParseError, match="at most 1,000,000 bytes"):
                smapskit.load(io.BytesIO(text), limit=1_000_000)

    def test_compressed_text_has_a_limit_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert captures.MAX_BYTES == 256 * 2**20
        monkeypatch.setattr(captures, "MAX_BYTES", 50_000)
        compressed = gzip.compress(SMAPS)
        with pytest.raises(ParseError, match=r"at most 50,000 bytes: limit= \(--limit\)"):
            smapskit.load(io.BytesIO(compressed))
        for source, limit in ((compressed, len(SMAPS)), (SMAPS, None)):
            whole = smapskit.load(io.BytesIO(source), limit=limit)
            assert whole.mappings == smapskit.parse_smaps(SMAPS).mappings
        with pytest.raises(ParseError, match="at most"):
            smapskit.load(io.BytesIO(compressed), limit=len(SMAPS) - 1)

    def test_load_frame_has_the_same_limit(self, tmp_path: Path) -> None:
        capture = tmp_path / "smaps.gz"
        capture.write_bytes(gzip.compress(SMAPS))
        frame = smapskit.load_frame([capture], limit=50_000)
        assert "at most 50,000 bytes" in frame.attrs["unreadable"][str(capture)]
        assert len(smapskit.load_frame([capture], limit=1_000_000)) > 100

    def test_too_little_memory_is_not_damaged_data(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(_file: object) -> None:
            raise MemoryError

        monkeypatch.setattr(gzip, "open", fail)
        with pytest.raises(MemoryError):
            smapskit.load(io.BytesIO(gzip.compress(SMAPS)))

    def test_zstd_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("backports.zstd", "compression.zstd"):
            monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(Unsupported, match=r"pip install '\.\[zstd\]'"):
            smapskit.load(io.BytesIO(b"\x28\xb5\x2f\xfd" + bytes(20)))

    def test_a_pid_is_not_a_capture(self) -> None:
        for load in (smapskit.load, smapskit.load_all, smapskit.load_rollup):
            with pytest.raises(TypeError, match=rf"use read\({os.getpid()}\) for a process"):
                load(os.getpid())  # type: ignore[arg-type]

    def test_a_missing_file(self) -> None:
        with pytest.raises(FileNotFoundError):
            smapskit.load("no/such/file")

    def test_a_large_binary_file_is_rejected_by_its_beginning(self) -> None:
        class Endless(io.RawIOBase):
            def __init__(self) -> None:
                self.length = 0

            def read(self, size: int = -1) -> bytes:
                self.length += size
                assert self.length <= 2**20
                return b"\x7fELF".ljust(size, b"\0")

        with pytest.raises(ParseError, match="got a binary file"):
            smapskit.load(Endless())  # type: ignore[arg-type]
