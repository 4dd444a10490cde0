"""Make what a guest boots from: a kernel, an initial file system with modules, and a disk."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import zlib
from contextlib import suppress
from pathlib import Path

import attrs
from guests.machines import AMD64, Architecture, Kernel
from guests.packages import CannotGet, Packages

PROGRAMS = (
    *("bash", "coreutils", "dash", "findutils", "grep", "libc-bin", "mount", "procps", "sed"),
    *("tar", "util-linux", "python3-attr", "python3-hypothesis", "python3-jsonschema"),
    *(
        "python3-matplotlib",
        "python3-pandas",
        "python3-psutil",
        "python3-pytest",
        "python3-typing-extensions",
    ),
)
SUITE_32_BIT, PROGRAMS_32_BIT = "bookworm", ("coreutils", "python3")
"""In /opt/i386 of an amd64 guest."""
MODULES = ("ext4", "virtio_blk", "zram", "lzo_rle", "zsmalloc", "crc32c_generic")
INIT = """\
#!/bin/busybox sh
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in /modules/*; do insmod "$module" || echo "insmod $module failed"; done
for disk in /sys/block/vd*; do
  ln -s "/dev/${disk##*/}" "/dev/guest-$(cat "$disk/serial")"
done
mount -t ext4 /dev/guest-root /root || { ls -l /dev; poweroff -f; }
mkdir -p /root/guest
tar -x -f /dev/guest-job -C /root/guest
for folder in proc sys dev; do mount --move /$folder /root/$folder; done
mount -t tmpfs tmpfs /root/run
mkdir -p /root/dev/shm /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
exec switch_root /root /bin/bash /guest/tests/guests/start.sh
"""
USERS = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/:/usr/sbin/nologin
"""
_UNPACKED = {".xz": lzma.decompress, ".gz": gzip.decompress, ".bz2": bz2.decompress}


@attrs.frozen
class Images:
    """The files that qemu is given. They are kept in the cache and made where missing."""

    cache: Path

    def disk(self, architecture: Architecture) -> Path:
        """Return an ext4 file system with Python, pmap and other programs."""
        image = self.cache / f"{architecture.name}.ext4"
        if not image.exists():
            root = self.root(architecture)
            made = image.with_suffix(".partial")
            made.unlink(missing_ok=True)
            _run("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", root, made, "6G")
            made.rename(image)
        return image

    def root(self, architecture: Architecture) -> Path:
        """Return the folder with the programs of an architecture, unpacked but not installed."""
        root = self.cache / architecture.name
        if not root.exists():
            made = _empty(root.with_name(root.name + ".partial"))
            _unpack_programs(
                made, Packages(architecture.suite, architecture.name, self.cache), PROGRAMS
            )
            if architecture is AMD64:
                _add_32_bit_programs(made, self.cache)
                _compile(made)
            made.rename(root)
        return root

    def kernel(self, kernel: Kernel) -> tuple[Path, Path]:
        """Return the kernel and an initial file system, which mounts the disk."""
        folder = self.cache / "kernels" / f"{kernel.name}-{zlib.crc32(INIT.encode()):08x}"
        if not folder.exists():
            made = _empty(folder.with_name(folder.name + ".partial"))
            packages = Packages(kernel.suite, kernel.architecture.name, self.cache)
            unpacked = _empty(made / "unpacked")
            packages.unpack(packages.kernel(kernel.package), unpacked, depends=False)
            (boot,) = unpacked.rglob("vmlinuz*")
            shutil.copy(boot, made / "kernel")
            _make_initrd(made / "initrd", unpacked, kernel.architecture, self.cache)
            shutil.rmtree(unpacked)
            made.rename(folder)
        return folder / "kernel", folder / "initrd"


def _unpack_programs(root: Path, packages: Packages, names: tuple[str, ...]) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("proc", "sys", "dev", "run", "tmp", "etc", "root"):
        (root / name).mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text(USERS)
    (root / "etc/group").write_text("root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n")
    packages.unpack(names, root)
    # What update-alternatives does when the packages are installed.
    for library in root.glob("usr/lib/*/*/lib*.so.3"):
        if library.parent.name in ("blas", "lapack"):
            (library.parents[1] / library.name).symlink_to(f"{library.parent.name}/{library.name}")


def _add_32_bit_programs(root: Path, cache: Path) -> None:
    other = root / "opt/i386"
    other.mkdir(parents=True)
    _unpack_programs(other, Packages(SUITE_32_BIT, "i386", cache), PROGRAMS_32_BIT)
    (root / "usr/lib/ld-linux.so.2").symlink_to("/opt/i386/usr/lib/i386-linux-gnu/ld-linux.so.2")


def _compile(root: Path) -> None:
    """Compile the Python modules by the Python of the root, if it can be run here."""
    (loader,) = root.glob("usr/lib64/ld-linux-*.so.*")
    (python,) = root.glob("usr/bin/python3.[0-9]*[0-9]")
    libraries = root / "usr/lib/x86_64-linux-gnu"
    command = [loader, "--library-path", libraries, python, "-m", "compileall", "-q", "-s", root]
    with suppress(OSError):  # else a guest is slower
        subprocess.run(
            [*map(str, command), "-p", "/", str(root / "usr/lib")],
            env={**os.environ, "PYTHONHOME": str(root / "usr")},
            stdout=subprocess.DEVNULL,
            check=False,  # test files of packages have errors on purpose
        )


def _make_initrd(initrd: Path, unpacked: Path, architecture: Architecture, cache: Path) -> None:
    content = _empty(initrd.with_name("content"))
    Packages(architecture.suite, architecture.name, cache).unpack(
        ("busybox-static",), content, depends=False
    )
    shutil.rmtree(content / "usr/share", ignore_errors=True)
    if (content / "usr/bin/busybox").exists():
        (content / "bin").mkdir(exist_ok=True)
        (content / "usr/bin/busybox").rename(content / "bin/busybox")
    (content / "init").write_text(INIT)
    (content / "init").chmod(0o755)
    (content / "modules").mkdir()
    for number, module in enumerate(_modules(unpacked, (*architecture.modules, *MODULES))):
        unpack = _UNPACKED.get(module.suffix, bytes)
        (content / "modules" / f"{number:02}-{module.name.split('.')[0]}").write_bytes(
            unpack(module.read_bytes())
        )
    with initrd.open("wb") as file:
        subprocess.run(
            "find . | cpio --quiet -o -H newc -R 0:0 | gzip -1",
            shell=True,
            cwd=content,
            stdout=file,
            check=True,
        )
    shutil.rmtree(content)


def _modules(unpacked: Path, names: tuple[str, ...]) -> list[Path]:
    """Return the files of modules in the order in which they are to be loaded."""
    base = unpacked if (unpacked / "lib/modules").exists() else unpacked / "usr"
    (folder,) = (base / "lib/modules").iterdir()
    _run("depmod", "-b", base, folder.name)
    depends = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        module, _, others = line.partition(":")
        depends[module] = others.split()
    by_name = {Path(m).name.split(".")[0].replace("-", "_"): m for m in depends}
    ordered: dict[str, None] = {}
    for name in names:
        if name in by_name:  # else it is part of this kernel
            ordered |= dict.fromkeys([*reversed(depends[by_name[name]]), by_name[name]])
    return [folder / module for module in ordered]


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _run(*command: str | Path) -> None:
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise CannotGet(f"{command[0]}: {run.stderr.strip()}")
