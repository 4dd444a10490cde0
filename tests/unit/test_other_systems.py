"""Importing and parsing need nothing that only Linux has: a process without it, on any system."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from support.paths import FIXTURES

# What the Python of Windows lacks; macOS lacks part of it.
ABSENT_MODULES = ("fcntl", "grp", "posix", "pwd", "resource", "syslog", "termios", "tty")
ABSENT_NAMES = {
    "os": (
        *("fork", "geteuid", "getuid", "getresuid", "getpgid", "killpg", "mkfifo", "posix_fadvise"),
        *("pidfd_open", "preadv", "pread", "sched_getaffinity", "sysconf", "uname", "statvfs"),
        *("O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY", "O_NOFOLLOW", "O_PATH", "memfd_create"),
    ),
    "signal": (
        *("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGSTOP", "SIGWINCH"),
        *("pidfd_send_signal", "pthread_sigmask", "setitimer", "sigtimedwait", "sigwait"),
    ),
    "mmap": ("PROT_READ", "PROT_NONE", "MAP_SHARED", "MAP_PRIVATE", "MAP_ANONYMOUS", "MADV_FREE"),
    "select": ("poll", "epoll"),
    "time": ("clock_gettime", "CLOCK_MONOTONIC", "CLOCK_BOOTTIME"),
    "ctypes": ("RTLD_DEEPBIND",),
}
HIDE = f"""
import os, sys
import asyncio, mmap, multiprocessing, pathlib, random, select, signal, subprocess, tempfile, uuid
import concurrent.futures.process, ctypes, logging, shutil, threading, time
import bz2, gzip, lzma, tarfile, zipfile
import attrs, numpy, pandas  # which know the system that they were built for
for module, names in {ABSENT_NAMES!r}.items():
    for name in names:
        vars(sys.modules[module]).pop(name, None)
for name in {ABSENT_MODULES!r}:
    sys.modules[name] = None
sys.platform = sys.argv[1]
sys.addaudithook(lambda event, args: (
    event == "open" and str(args[0]).startswith("/proc") and sys.exit("opened " + args[0])
))
"""
EVERY_MODULE = """
import importlib, pkgutil, smapskit
# These need an optional package, or start the program.
optional = {"smapskit.pytest_plugin", "smapskit.__main__", "smapskit.watch.screen"}
names = [m.name for m in pkgutil.walk_packages(smapskit.__path__, "smapskit.")]
for name in sorted(set(names) - optional):
    importlib.import_module(name)
print(len(names))
"""
PARSE = """
import io, json, smapskit
folder = sys.argv[2]
snapshot = smapskit.load(folder + "/smaps.txt")
rollup = smapskit.load_rollup(folder + "/smaps_rollup.txt")
table = smapskit.load(folder + "/pmap-x.txt")
text = smapskit.format_smaps(snapshot)
again = smapskit.parse_smaps(text)
assert again.mappings == snapshot.mappings
print(json.dumps({
    "mappings": len(snapshot),
    "maps": len(smapskit.load(folder + "/maps.txt")),
    "rss": smapskit.totals(snapshot).rss,
    "rollup": rollup.rss,
    "frame": int(smapskit.load_frame([folder + "/smaps.txt"])["rss"].sum()),
    "table": smapskit.totals(table).rss,
    "kinds": len(smapskit.kinds(snapshot)),
    "differences": len(smapskit.diff(snapshot, again).changes),
    "findings": len(smapskit.explain(snapshot)),
    "html": "<table" in snapshot._repr_html_(),
    "printed": smapskit.format_pmap(snapshot, "extended").count(chr(10)),
}))
"""
SYSTEMS = pytest.mark.parametrize("system", ["darwin", "win32"])


def _run(program: str, system: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HIDE + program, system, str(FIXTURES / "bash")]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@SYSTEMS
def test_every_module_can_be_imported(system: str) -> None:
    ran = _run(EVERY_MODULE, system)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 100


@SYSTEMS
def test_captures_are_parsed(system: str) -> None:
    ran = _run(PARSE, system)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["rss"] == found["rollup"] == found["frame"] == found["table"] > 0
    assert found["mappings"] == found["maps"] == found["kinds"] > 0
    assert found["differences"] == 0
    assert found["html"]
    assert found["printed"] > found["mappings"]


@SYSTEMS
def test_live_reading_is_refused_with_a_reason(system: str) -> None:
    program = """
import smapskit
try:
    smapskit.read(1, proc="/no/such/proc")
except smapskit.Unsupported as error:
    print(error)
"""
    ran = _run(program, system)
    assert ran.returncode == 0, ran.stderr
    assert "Linux" in ran.stdout
