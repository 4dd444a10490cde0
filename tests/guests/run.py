"""
Boot kernels of Debian in qemu, and read processes there: captures and other programs.

    python tests/guests/run.py --list
    python tests/guests/run.py 6.1-amd64 ...              captures, oracles.py
    python tests/guests/run.py --steps command --command 'uname -a' 6.1-amd64

For maintainers: one kernel takes several minutes. Packages come from the mirror in the apt
configuration of this machine and are unpacked into a cache, never installed. Requires apt, dpkg,
qemu-system-x86 (or -arm, -misc), kmod, cpio and e2fsprogs, but neither root nor /dev/kvm.
Nothing is mounted here; qemu ends with this program.

Results are in FOLDER/KERNEL: a log for each step, results.json, and captures. --keep moves the
captures to tests/fixtures/kernels.

Exit status: 0; 1 if a step failed; 3 if a guest cannot be had, with a note.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from guests.guest import run_guest
from guests.images import Images
from guests.machines import KERNELS
from guests.packages import CannotGet

FIXTURES = Path(__file__).parents[1] / "fixtures" / "kernels"
CANNOT_GET = 3


def main() -> int:
    """Run the chosen kernels, print a line for each step, and return the exit status."""
    options = _parser().parse_args()
    if options.list:
        for kernel in KERNELS.values():
            print(f"{kernel.name:<16} {kernel.package} of {kernel.suite}: {' '.join(kernel.steps)}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options.cache.mkdir(parents=True, exist_ok=True)
    images = Images(options.cache.resolve())
    out = options.out or Path(tempfile.mkdtemp(prefix="guests-"))
    status = 0
    for name in options.kernel:
        steps = options.steps.split(",") if options.steps else KERNELS[name].steps
        request = {"steps": list(steps), "command": options.command}
        results = out / name
        shutil.rmtree(results, ignore_errors=True)
        try:
            run_guest(images, KERNELS[name], request, results, timeout=options.timeout)
        except (CannotGet, OSError) as error:
            print(f"{name}: cannot be had: {error}", flush=True)
            status = status or CANNOT_GET
            continue
        for step in json.loads((results / "results.json").read_text()):
            print(
                f"{name}: {step['step']}: status {step['status']}, {step['seconds']} s", flush=True
            )
            status = 1 if step["status"] else status
        if options.keep and (results / "captures").exists():
            shutil.rmtree(FIXTURES / name, ignore_errors=True)
            shutil.copytree(results / "captures", FIXTURES / name)
    print(f"results are in {out}")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Boot kernels of Debian, and read processes there."
    )
    add = parser.add_argument
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "smapskit-guests"
    add("kernel", nargs="*", choices=[[], *KERNELS], metavar="KERNEL", help="of those of --list")
    add("--list", action="store_true", help="print the kernels, and what is run by default")
    add("--steps", help="what to run, with commas: captures, oracles, command")
    add("--command", default="true", help="of the shell, for the step command")
    add("--keep", action="store_true", help="replace the captures in tests/fixtures/kernels")
    add("--out", type=Path, metavar="FOLDER", help="where to write results (default: a new one)")
    add("--cache", type=Path, default=cache, metavar="FOLDER", help="of packages and disks")
    add("--timeout", type=float, default=3600, metavar="SECONDS", help="for one guest")
    return parser


if __name__ == "__main__":
    sys.exit(main())
