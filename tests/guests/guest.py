"""Run a guest in qemu, by software emulation on one processor, and take its results out."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from guests.images import Images
from guests.machines import Kernel
from guests.packages import CannotGet

ROOT = Path(__file__).parents[2]
_PROJECT = ("src", "tests", "examples", "pyproject.toml", "README.md")
_PARAMETERS = "quiet panic=-1 secretmem.enable=1"
_RESULTS_MIB = 256


def run_guest(
    images: Images, kernel: Kernel, request: dict[str, Any], results: Path, *, timeout: float
) -> None:
    """
    Boot a kernel, give a request to `inside.py`, and unpack what it wrote into a folder.

    The disk of the guest is not changed, nothing is mounted here, and qemu ends with this program.

    Raises:
        CannotGet: the guest could not be made, or it did not end by itself.
    """
    disk = images.disk(kernel.architecture)
    boot, initrd = images.kernel(kernel)
    results.mkdir(parents=True, exist_ok=True)
    log = results / "console.log"
    with tempfile.TemporaryDirectory(prefix="smapskit-guest-") as folder:
        job, out = Path(folder, "job.tar"), Path(folder, "out.tar")
        _pack(job, request)
        with out.open("wb") as file:
            file.truncate(_RESULTS_MIB << 20)
        command = [
            *("nice", "-n", "10", *shlex.split(kernel.architecture.system)),
            *("-accel", "tcg", "-smp", "1", "-m", str(kernel.megabytes)),
            *("-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio"),
            *("-kernel", str(boot), "-initrd", str(initrd), "-append"),
            f"console={kernel.architecture.console} {_PARAMETERS} {kernel.options}",
            *_drive("root", disk, "snapshot=on"),
            *_drive("job", job, "readonly=on"),
            *_drive("results", out, "cache=unsafe"),
        ]
        with log.open("wb") as file, _ended(command, file) as qemu:
            try:
                qemu.wait(timeout)
            except subprocess.TimeoutExpired:
                raise CannotGet(f"no end after {timeout:.0f} s: see {log}") from None
        with suppress(tarfile.TarError), tarfile.open(out) as archive:
            archive.extractall(results, filter="data")
    if not (results / "results.json").exists():
        raise CannotGet(f"it has not written its results: see {log}")


@contextmanager
def _ended(command: list[str], log: object) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that is ended with the block."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _drive(name: str, file: Path, options: str) -> tuple[str, ...]:
    """Return the options of a disk, which the guest finds by its name: the order may differ."""
    drive = f"id={name},file={file},format=raw,if=none,{options}"
    return "-drive", drive, "-device", f"virtio-blk,drive={name},serial={name}"


def _pack(job: Path, request: dict[str, Any]) -> None:
    """Pack the project and what is asked for, as the guest unpacks it."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file, tarfile.open(job, "w") as tar:
        json.dump(request, file)
        file.flush()
        for name in _PROJECT:
            tar.add(ROOT / name, name, filter=_of_the_project)
        tar.add(file.name, "request.json")
    os.truncate(job, -(-job.stat().st_size // 512) * 512)


def _of_the_project(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Return None for what the guest does not need."""
    is_left_out = member.name.endswith(("__pycache__", ".pyc", ".npz", "fixtures/kernels"))
    member.uid = member.gid = 0
    return None if is_left_out else member
