"""Unpack Debian's packages of any suite and architecture, without installing them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import attrs


class CannotGet(Exception):
    """Something that a guest requires cannot be had; the message says what."""


@attrs.frozen
class Packages:
    """Packages of a suite, by apt with lists and a cache of its own: apt's own are not changed."""

    suite: str
    architecture: str
    cache: Path

    def unpack(self, names: tuple[str, ...], root: Path, *, depends: bool = True) -> None:
        """
        Unpack packages into a folder, with all that they depend on or alone.

        Raises:
            CannotGet: apt does not find or does not reach them.
        """
        self._update()
        folder = self._folder
        if depends:
            chosen = [f"{name}/{self.suite}" for name in names]
            self._apt("get", "install", "--download-only", "--no-install-recommends", *chosen)
            files = sorted((folder / "cache/archives").glob("*.deb"))
        else:
            self._apt("get", "download", *(f"{name}/{self.suite}" for name in names))
            files = [max((folder / "deb").glob(f"{n}_*.deb"), key=_mtime) for n in names]
        for file in files:
            unpack(file, root)
        for file in files:
            file.unlink()

    def kernel(self, package: str) -> tuple[str, ...]:
        """Return the packages of a kernel, from one that depends on its newest version."""
        self._update()
        image = next(iter(self._depends(package, "linux-image")), package)
        # From 7.0 on, the kernel and its modules are packages of their own.
        return image, *self._depends(image, "linux-(?:binary|modules)")

    def _depends(self, package: str, kind: str) -> list[str]:
        shown = self._apt("cache", "show", "--no-all-versions", f"{package}/{self.suite}")
        depends = re.search(r"^Depends: (.*)", shown, re.MULTILINE)
        return re.findall(rf"{kind}-\d\S*(?= \()", depends[1]) if depends else []

    @property
    def _folder(self) -> Path:
        return self.cache / "apt" / f"{self.suite}-{self.architecture}"

    def _update(self) -> None:
        """Make the folder of apt and its lists, or bring them up to date."""
        for made in ("lists/partial", "cache/archives/partial", "deb"):
            (self._folder / made).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()  # no package is installed
        suites = {self.suite, self.suite.removesuffix("-backports")}
        (self._folder / "sources.list").write_text(
            "".join(f"deb {_mirror()} {suite} main\n" for suite in sorted(suites))
        )
        self._apt("get", "update", "--quiet")

    def _apt(self, program: str, *arguments: str) -> str:
        folder = self._folder
        settings = {
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Get::Assume-Yes": "true",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Check-Valid-Until": "false",
        }
        options = [text for name, value in settings.items() for text in ("-o", f"{name}={value}")]
        run = subprocess.run(
            [f"apt-{program}", *options, *arguments],
            cwd=folder / "deb",
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            reason = (run.stderr.strip() or run.stdout.strip()).splitlines()
            raise CannotGet(f"apt-{program} {' '.join(arguments)}: {reason[-1] if reason else ''}")
        return run.stdout


def unpack(package: Path, root: Path) -> None:
    """Unpack a package; a symbolic link to a folder in the root is kept."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as tar:
        subprocess.run(
            ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", root],
            stdin=tar.stdout,
            check=True,
        )


def _mtime(file: Path) -> float:
    return file.stat().st_mtime


def _mirror() -> str:
    """Return the address of Debian's mirror in the configuration of this machine, with its key."""
    shown = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)"],
        capture_output=True,
        text=True,
        check=True,
    )
    for line in shown.stdout.splitlines():
        origin, address = line.split()
        if origin == "Debian" and "security" not in address:
            return f"[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {address}"
    raise CannotGet("apt's configuration has no mirror of Debian")
