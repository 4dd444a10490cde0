"""
Run in a guest: make captures, compare with other programs, run a command.

    python3 tests/guests/inside.py FOLDER

The file request.json of the project's folder names the steps. Each writes a log to the folder.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fixtures.capture import capture

PROJECT = Path(__file__).parents[2]
PROGRAMS = PROJECT / "tests" / "fixtures"
I386 = Path("/opt/i386")

ALL_KINDS = ("python3", str(PROGRAMS / "all_mapping_kinds.py"))
FEATURES = ("python3", str(PROGRAMS / "kernel_features.py"))
PYTHON_I386 = next(map(str, (I386 / "usr/bin").glob("python3.[0-9]*[0-9]")), "")
ENVIRONMENT_I386 = {
    "LD_LIBRARY_PATH": str(I386 / "usr/lib/i386-linux-gnu"),
    "PYTHONHOME": str(I386 / "usr"),
}
SUBJECTS: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "all_mapping_kinds": (ALL_KINDS, {}),
    "kernel_features": (FEATURES, {}),
    "sleep": (("sleep", "1000"), {}),
}
SUBJECTS_I386: dict[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "i386": ((PYTHON_I386, ALL_KINDS[1]), ENVIRONMENT_I386),
    "i386_sleep": ((str(I386 / "usr/bin/sleep"), "1000"), ENVIRONMENT_I386),
}


def main() -> int:
    """Run the steps, and write their statuses and times."""
    out = Path(sys.argv[1])
    request = json.loads((PROJECT / "request.json").read_text())
    prepare()
    results = []
    for name in request["steps"]:
        print(f"guest: {name}", flush=True)
        begin = time.monotonic()
        status = STEPS[name](out)
        seconds = round(time.monotonic() - begin)
        print(f"guest: {name}: status {status} after {seconds} s", flush=True)
        results.append({"step": name, "status": status, "seconds": seconds})
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0


def prepare() -> None:
    """Set the kernel up so that every kind of mapping can be made."""
    settings = {
        "/proc/sys/vm/nr_hugepages": "4",
        "/proc/sys/vm/unprivileged_userfaultfd": "1",
        "/sys/kernel/mm/ksm/run": "1",
        "/sys/kernel/mm/ksm/sleep_millisecs": "20",
        "/sys/kernel/mm/transparent_hugepage/enabled": "madvise",
        "/sys/block/zram0/disksize": "256M",
    }
    for file, value in settings.items():
        try:
            Path(file).write_text(value)
        except OSError as error:
            print(f"guest: {file}: {error.strerror}")
    for command in ("mkswap /dev/zram0", "swapon /dev/zram0"):
        subprocess.run(command.split(), check=False, stdout=subprocess.DEVNULL)


def captures(out: Path) -> int:
    """Capture processes with mappings of every kind, an archive for each."""
    folder = out / "captures"
    folder.mkdir()
    (folder / "kernel.json").write_text(json.dumps(describe(), indent=1) + "\n")
    status = 0
    for name, (command, environment) in (SUBJECTS | (SUBJECTS_I386 if PYTHON_I386 else {})).items():
        try:
            texts = capture(list(command), environment)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            print(f"guest: {name}: {error}", flush=True)
            status = 1
        else:
            write_archive(folder / f"{name}.tar.xz", texts)
    return status


def describe() -> dict[str, object]:
    """Return what the captures depend on besides the processes."""
    system = os.uname()
    pmap = subprocess.run(["pmap", "--version"], capture_output=True, text=True, check=True)
    return {
        "release": system.release,
        "version": system.version,
        "machine": system.machine,
        "page_size": os.sysconf("SC_PAGE_SIZE"),
        "byte_order": sys.byteorder,
        "pmap": pmap.stdout.strip(),
        "command_line": Path("/proc/cmdline").read_text().strip(),
    }


def write_archive(file: Path, texts: Mapping[str, bytes]) -> None:
    with tarfile.open(file, "w:xz") as archive:
        for name, text in texts.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))


def run(log: Path, command: list[str], **environment: str) -> int:
    """Run a program, and write what it prints to a file."""
    with log.open("ab") as file:
        done = subprocess.run(
            command,
            stdout=file,
            stderr=file,
            env={**os.environ, **environment},
            cwd=PROJECT,
            check=False,
        )
    return done.returncode


def oracles(out: Path) -> int:
    return run(out / "oracles.log", [sys.executable, "tests/oracles.py"])


def command(out: Path) -> int:
    """Run a command of the shell, to look into something."""
    request = json.loads((PROJECT / "request.json").read_text())
    return run(out / "command.log", ["bash", "-c", request["command"]])


STEPS: dict[str, Callable[[Path], int]] = {
    step.__name__: step for step in (captures, oracles, command)
}

if __name__ == "__main__":
    sys.exit(main())
