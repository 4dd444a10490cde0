"""
Read the files of memory cgroups, v1 and v2. No client of a container engine is needed.

Which hierarchy has the memory controller is in /proc/PID/cgroup: `N:memory:/path` is v1, and
`0::/path` is v2 where no v1 hierarchy has it. Where it is mounted is in /proc/self/mountinfo.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple, NoReturn

import attrs

from smapskit.errors import AccessDenied, Unsupported, escape_unprintable
from smapskit.model.cgroup import CgroupChild, CgroupOwner, CgroupUsage, Pressure
from smapskit.model.memory_stat import MemoryStat
from smapskit.sources import procfs

_UNLIMITED_BYTES: Final = 2**62
"""v1 prints the largest number of pages for a limit that is not set."""
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_PRESSURE: Final = re.compile(
    r"(some|full) avg10=([0-9.]{1,12}) avg60=([0-9.]{1,12}) avg300=([0-9.]{1,12}) total=(\d{1,20})"
)


class _Mount(NamedTuple):
    """A mounted hierarchy."""

    folder: str
    root: str
    """The group that is mounted: in a container, often that of the container."""
    version: Literal[1, 2]


class _Names(NamedTuple):
    """The names of the files of one version."""

    current: str
    limit: str
    peak: str
    swap_limit: str


_FILES: Final[dict[int, _Names]] = {
    1: _Names(
        "memory.usage_in_bytes",
        "memory.limit_in_bytes",
        "memory.max_usage_in_bytes",
        "memory.memsw.limit_in_bytes",
    ),
    2: _Names("memory.current", "memory.max", "memory.peak", "memory.swap.max"),
}


def read_cgroup(
    group: int | str | os.PathLike[str] | None = None,
    *,
    proc: str | os.PathLike[str] = procfs.PROC,
) -> CgroupUsage:
    """
    Read the memory of a cgroup: its limit, what is in use, and what that consists of.

    Args:
        group: the pid of a process in it; the folder of the group; or its path in the hierarchy,
            such as "/system.slice/ssh.service". None: the group of this process.
        proc: where procfs is mounted.

    Returns:
        The figures include the groups below. They are not read at one time.

    Raises:
        ProcessNotFound: there is no such process.
        FileNotFoundError: there is no such group.
        AccessDenied: the files may not be read.
        Unsupported: no memory controller is mounted, or the group of the process is outside of
            what this container sees.
    """
    if group is None or isinstance(group, int):
        pid = os.getpid() if group is None else group
        return _of_process(pid, proc)
    path = os.fspath(group)
    mounts = _find_mounts(proc)
    version = _version_of(path)
    if version is not None:
        folder = os.path.realpath(path)
        mount = next((each for each in mounts if f"{folder}/".startswith(f"{each.folder}/")), None)
        name = folder if mount is None else _name_in(mount, folder)
        return _read(folder, name, version, mount)
    for mount in mounts:
        candidate = _folder(mount, path)
        if candidate is not None and os.path.isdir(candidate):  # noqa: PTH112
            return _read(candidate, os.path.normpath(path), mount.version, mount)
    is_other = os.path.isdir(path)  # noqa: PTH112
    reason = "not a cgroup with the memory controller" if is_other else "no such cgroup"
    raise FileNotFoundError(errno.ENOENT, reason, path)


def read_cgroups(*, proc: str | os.PathLike[str] = procfs.PROC) -> list[CgroupUsage]:
    """
    Read every memory cgroup of this machine, or of this container: see `read_cgroup`.

    Returns:
        Each group before the groups below it, which are in the order of their names. Groups that
        are removed meanwhile are omitted.

    Raises:
        AccessDenied: the files of a group may not be read.
        Unsupported: no memory controller is mounted.
    """
    mount = _mounts(proc)[0]
    found = []
    for folder in _walk(mount.folder):
        name = _name_in(mount, folder)
        with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
            found.append(_read(folder, name, mount.version, mount))
    return found


def groups_by_inode(*, proc: str | os.PathLike[str] = procfs.PROC) -> dict[int, str]:
    """Return the paths of all visible memory cgroups by the inodes of their folders."""
    mount = _mounts(proc)[0]
    found = {}
    for folder in _walk(mount.folder):
        with contextlib.suppress(OSError):
            found[os.stat(folder).st_ino] = _name_in(mount, folder)  # noqa: PTH116
    return found


def _of_process(pid: int, proc: str | os.PathLike[str]) -> CgroupUsage:
    own = _own_groups(procfs.read_file(pid, "cgroup", proc).decode("utf-8", "surrogateescape"))
    version: Literal[1, 2] = 1 if "memory" in own else 2
    name = own.get("memory" if version == 1 else "")
    if name is None:
        _raise_no_controller()
    mounts = [mount for mount in _mounts(proc) if mount.version == version]
    if not mounts:
        _raise_no_controller()
    for mount in mounts:
        folder = _folder(mount, name)
        if folder is not None and os.path.isdir(folder):  # noqa: PTH112
            return _with_controller(folder, name, mount)
    msg = (
        f"the group of process {pid} is {escape_unprintable(name)}, which is not below the group "
        f"that is mounted at {escape_unprintable(mounts[0].folder)}: run it outside of the "
        "container"
    )
    raise Unsupported(errno.ENOENT, msg, pid=pid)


def _with_controller(folder: str, name: str, mount: _Mount) -> CgroupUsage:
    """Read a group, or the nearest above it in which the memory controller is enabled."""
    above, above_name = folder, name
    while above != mount.folder and not os.path.exists(f"{above}/memory.stat"):  # noqa: PTH110
        above, above_name = os.path.dirname(above), os.path.dirname(above_name)  # noqa: PTH120
    usage = _read(above, above_name, mount.version, mount)
    if above == folder:
        return usage
    note = (
        f"the memory controller is not enabled in {name}: the figures are those of the group "
        f"above it that is charged, {above_name}"
    )
    return attrs.evolve(usage, notes=(*usage.notes, note))


def _own_groups(text: str) -> dict[str, str]:
    """Return the groups of a process by controller; that of v2 has the key ""."""
    groups = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    return groups


def _mounts(proc: str | os.PathLike[str]) -> list[_Mount]:
    """
    Return the mounted hierarchies that can have the memory controller, v1 first.

    Raises:
        Unsupported: there is none.
    """
    found = _find_mounts(proc)
    if not found:
        _raise_no_controller()
    return found


def _find_mounts(proc: str | os.PathLike[str]) -> list[_Mount]:
    # Of this process, whose files are read, and not of the process in the group.
    text = procfs.read_system_file("self/mountinfo", proc).decode("utf-8", "surrogateescape")
    found = []
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        kind, _, rest = tail.partition(" ")
        options = rest.rpartition(" ")[2].split(",")
        words = head.split(" ")
        if kind == "cgroup2":
            found.append(_Mount(_unescape(words[4]), _unescape(words[3]), 2))
        elif kind == "cgroup" and "memory" in options:
            found.append(_Mount(_unescape(words[4]), _unescape(words[3]), 1))
    return sorted(found, key=lambda mount: mount.version)


def _raise_no_controller() -> NoReturn:
    msg = "no cgroup hierarchy with the memory controller is mounted here"
    raise Unsupported(errno.ENOSYS, msg)


def _unescape(text: str) -> str:
    """Decode what the kernel writes for blanks in mountinfo."""
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), text)


def _folder(mount: _Mount, name: str) -> str | None:
    """Return the folder of a group; None if it is not below the group that is mounted."""
    root = mount.root.rstrip("/")
    if ".." in name.split("/") or not f"{name}/".startswith(f"{root}/"):
        return None
    return os.path.normpath(f"{mount.folder}/{name.removeprefix(root)}")


def _name_in(mount: _Mount, folder: str) -> str:
    path = os.path.normpath(f"{mount.root}/{os.path.relpath(folder, mount.folder)}")
    return f"/{path.lstrip('/')}"  # normpath() keeps two leading slashes


def _version_of(folder: str) -> Literal[1, 2] | None:
    """Return the version of a group by its files; None for any other folder."""
    if os.path.exists(f"{folder}/{_FILES[1].current}"):  # noqa: PTH110
        return 1
    return 2 if os.path.exists(f"{folder}/memory.stat") else None  # noqa: PTH110


class _Group:
    """The files of one group."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def raise_removed(self) -> NoReturn:
        """Raise the exception for a group that does not exist any more."""
        msg = "the cgroup was removed while it was read"
        raise FileNotFoundError(errno.ENOENT, msg, self.folder)

    def inode(self) -> int | None:
        """Return the inode of the folder, which no later group of this name has."""
        try:
            return os.stat(self.folder).st_ino  # noqa: PTH116
        except FileNotFoundError:
            return None

    def text(self, name: str) -> str:
        """Return the text of a file; "" if this kernel does not have it."""
        try:
            with open(f"{self.folder}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
                return file.readall().decode("utf-8", "surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except PermissionError as error:
            path = escape_unprintable(f"{self.folder}/{name}")
            raise AccessDenied(error.errno, f"not permitted to read {path}: run as root") from None
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:  # cgroup.procs of a threaded group
                return ""
            if error.errno == errno.ENODEV:
                self.raise_removed()
            raise

    def kb(self, name: str) -> int | None:
        """Return a number of bytes in kB."""
        text = self.text(name).strip()
        return int(text) // 1024 if _is_number(text) else None

    def limit(self, name: str) -> float | None:
        """Return a limit in kB; infinite if it is not set."""
        text = self.text(name).strip()
        if text == "max" or (_is_number(text) and int(text) >= _UNLIMITED_BYTES):
            return math.inf
        return int(text) // 1024 if _is_number(text) else None

    def values(self, name: str) -> dict[str, int]:
        """Return the numbers of a file with lines of `name value`."""
        lines = (line.split() for line in self.text(name).splitlines())
        pairs = (words for words in lines if len(words) == 2)  # noqa: PLR2004
        return {key: int(value) for key, value in pairs if _is_number(value)}


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20  # noqa: PLR2004


def _read(
    folder: str, name: str, version: Literal[1, 2], mount: _Mount | None = None
) -> CgroupUsage:
    group, files = _Group(folder), _FILES[version]
    inode = group.inode()
    current, raw = group.kb(files.current), group.values("memory.stat")  # at about the same time
    is_own = version == 1 and group.text("memory.use_hierarchy").strip() == "0"
    stat = MemoryStat.of_values(raw, is_own=is_own)
    swap = group.kb("memory.swap.current")
    if version == 1:
        stat = attrs.evolve(stat, kernel=group.kb("memory.kmem.usage_in_bytes"))
        swap = stat.swap
    limit = group.limit(files.limit)
    pids, notes = _pids(folder)
    if version == 1 and name == "/" and limit == math.inf:
        stat = attrs.evolve(stat, kernel=None)
        notes.append("the root group does not count the memory of the kernel as in use")
    effective, limited_by = _effective_limit(folder, name, limit, files.limit, mount)
    swap_limit = group.limit(files.swap_limit)
    if is_own:
        notes.append("the figures do not include the groups below (memory.use_hierarchy is 0)")
    usage = CgroupUsage(
        name=name,
        directory=folder,
        version=version,
        owner=CgroupOwner.of_path(name),
        current=current,
        limit=limit,
        effective_limit=effective,
        limited_by=limited_by,
        peak=group.kb(files.peak),
        high=group.limit("memory.high"),
        low=group.kb("memory.low"),
        min=group.kb("memory.min"),
        swap=swap,
        swap_limit=swap_limit if version == 2 else None,  # noqa: PLR2004
        memory_swap_limit=swap_limit if version == 1 else None,
        stat=stat,
        events=_events(group, version),
        pressure=_pressure(group),
        pids=tuple(pids),
        children=tuple(_children(folder, name, files)),
        notes=tuple(notes),
    )
    # The kernel removes the files, this one first, and then the folder. Another group may get its
    # name at once. What could not be read would be None here.
    is_there = name == "/" or os.path.exists(f"{folder}/{files.current}")  # noqa: PTH110
    if inode is None or group.inode() != inode or not is_there:
        group.raise_removed()
    return usage


def _effective_limit(
    folder: str, name: str, limit: float | None, file: str, mount: _Mount | None
) -> tuple[float | None, str | None]:
    """Return the smallest limit of a group and those above it, and the group that has it."""
    smallest, owner = limit, name
    while mount is not None and folder != mount.folder:
        folder, name = os.path.dirname(folder), os.path.dirname(name)  # noqa: PTH120
        above = _Group(folder).limit(file)
        if above is not None and (smallest is None or above < smallest):
            smallest, owner = above, name
    return smallest, None if smallest in (None, math.inf) else owner


def _events(group: _Group, version: int) -> dict[str, int]:
    if version == 2:  # noqa: PLR2004
        return group.values("memory.events")
    events = {}
    failcnt = group.text("memory.failcnt").strip()
    if _is_number(failcnt):
        events["failcnt"] = int(failcnt)
    kills = group.values("memory.oom_control").get("oom_kill")  # since Linux 4.13
    if kills is not None:
        events["oom_kill"] = kills
    return events


def _pressure(group: _Group) -> dict[str, Pressure]:
    return {
        line[1]: Pressure(float(line[2]), float(line[3]), float(line[4]), int(line[5]) / 1e6)
        for line in _PRESSURE.finditer(group.text("memory.pressure"))
    }


def _children(folder: str, name: str, files: _Names) -> Iterator[CgroupChild]:
    children = []
    for each in _subfolders(folder):
        child = _Group(each)
        path = f"{name.rstrip('/')}/{Path(each).name}"
        with contextlib.suppress(OSError):
            children.append(CgroupChild(path, child.kb(files.current), child.limit(files.limit)))
    yield from sorted(children, key=lambda child: -(child.current or 0))


def _pids(folder: str) -> tuple[list[int], list[str]]:
    """Return the processes of a group and those below it, and notes."""
    pids: list[int] = []
    for each in _walk(folder):
        with contextlib.suppress(OSError):
            pids += [int(pid) for pid in _Group(each).text("cgroup.procs").split()]
    hidden = pids.count(0)  # v2 lists processes of other pid namespaces as 0
    notes = []
    if hidden:
        notes.append(f"{hidden} processes of the group are in another pid namespace")
    return sorted({pid for pid in pids if pid}), notes


def _walk(folder: str) -> Iterator[str]:
    """Yield a group and all groups below it, each before those below it."""
    pending = [folder]
    while pending:
        folder = pending.pop()
        yield folder
        pending += reversed(_subfolders(folder))


def _subfolders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            found = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:  # it was removed meanwhile
        return []
    return sorted(found)
