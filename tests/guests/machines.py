"""The kernels and architectures of Debian that can be booted, and how qemu is called for each."""

from __future__ import annotations

import attrs


@attrs.frozen
class Architecture:
    """How to boot and emulate an architecture of Debian."""

    name: str
    """Debian's name."""
    system: str
    """The program that emulates a machine, with the options that choose the machine."""
    console: str
    """The kernel's name of the first serial console."""
    modules: tuple[str, ...] = ("virtio_pci",)
    """Kernel modules for the bus of the disks."""
    suite: str = "trixie"
    """The suite of the programs, whatever the kernel."""


AMD64 = Architecture(
    # With "-cpu max" or several processors, qemu 7.2 hangs.
    "amd64",
    "qemu-system-x86_64 -cpu Nehalem",
    "ttyS0",
)
ARM64 = Architecture("arm64", "qemu-system-aarch64 -machine virt -cpu cortex-a57", "ttyAMA0")
S390X = Architecture(
    # With qemu 7.2, ext4 fails with an oops when it writes.
    "s390x",
    "qemu-system-s390x -machine s390-ccw-virtio -cpu max",
    "ttysclp0",
    modules=("virtio_ccw",),
    suite="testing",
)


@attrs.frozen
class Kernel:
    """A kernel that one of Debian's suites offers."""

    name: str
    suite: str
    package: str
    """A package that depends on the newest version, or a version's package."""
    architecture: Architecture
    options: str = ""
    """Additional parameters of the kernel."""
    megabytes: int = 2560
    steps: tuple[str, ...] = ("captures", "oracles")
    """What is run by default: see `inside.py`."""


KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("6.1-amd64", "bookworm", "linux-image-amd64", AMD64),
        Kernel("5.10-amd64", "bullseye", "linux-image-amd64", AMD64),
        Kernel("6.12-amd64", "trixie", "linux-image-amd64", AMD64),
        Kernel("7.3-amd64", "trixie-backports", "linux-image-amd64", AMD64),
        Kernel("6.12-arm64", "trixie", "linux-image-arm64", ARM64),
        Kernel("7.2-s390x", "testing", "linux-image-s390x", S390X),
    )
}
