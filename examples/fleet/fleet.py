"""
Captures of many machines to Parquet by host and day, on all cores or machines that Dask has.

    pip install . --group fleet
    python examples/fleet/fleet.py CAPTURES -o OUT [--workers N | --scheduler ADDRESS]
    python examples/fleet/fleet.py CAPTURES -o OUT --ask

CAPTURES is a folder of HOST/TIME-PID.smaps, with TIME as 20261124T120000Z, compressed or not,
as a cron job of one line leaves them (see docs/fleets.md). A capture that can't be read is
named with its reason in OUT/set-aside.csv; what is in OUT already is not read again.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import duckdb
from distributed import Client, LocalCluster, as_completed

import smapskit
from smapskit.sources.captures import load_capture_frames

_NAME = re.compile(r"(\d{8}T\d{6}Z)-(\d+)\.smaps(\.\w+)?")

QUESTION = """
-- Which library's private memory grew most across the fleet, from each process's first
-- capture to its last?
WITH sums AS (
    SELECT host, pid, time, pathname, sum(private_clean + private_dirty) AS private
    FROM read_parquet($files, hive_partitioning = true)
    WHERE backing = 'file' AND pathname LIKE '%.so%'
    GROUP BY ALL
),
growth AS (
    SELECT pathname, host, pid, arg_max(private, time) - arg_min(private, time) AS grown
    FROM sums GROUP BY ALL HAVING count(*) > 1
)
SELECT pathname, sum(grown)::BIGINT AS kB, count(DISTINCT host) AS hosts, count(*) AS processes
FROM growth GROUP BY pathname HAVING sum(grown) != 0 ORDER BY kB DESC LIMIT 20
"""


@attrs.frozen
class Capture:
    """A saved smaps, and what its path says of it."""

    path: Path
    host: str
    time: datetime
    pid: int

    @classmethod
    def of(cls, path: Path) -> Capture:
        """
        Read the path.

        Raises:
            ValueError: it is no HOST/TIME-PID.smaps.
        """
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise ValueError("expected a name such as HOST/20261124T120000Z-1234.smaps.gz")
        time = datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return cls(path, path.parent.name, time, int(match[2]))

    def target(self, out: Path) -> Path:
        """Where its Parquet belongs."""
        folder = out / f"host={self.host}" / f"day={self.time:%Y-%m-%d}"
        return folder / f"{self.time:%H%M%S}-{self.pid}.parquet"


def convert(path: Path, out: Path) -> str:
    """Turn a capture to Parquet; the reason where that can't be, else nothing. Dask runs it."""
    try:
        capture = Capture.of(path)
        (frame,) = load_capture_frames(path)
    except (smapskit.SmapskitError, OSError, ValueError) as error:
        return str(error) or type(error).__name__
    target = capture.target(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    frame.insert(0, "time", capture.time)
    frame.insert(1, "pid", capture.pid)
    frame.attrs = {}
    new = target.with_suffix(".new")
    frame.to_parquet(new, index=False)
    new.replace(target)  # complete, or not there
    return ""


def waiting(captures: Path, out: Path) -> Iterator[Path]:
    """The captures whose Parquet is not there yet."""
    for path in sorted(captures.glob("*/*")):
        try:
            if Capture.of(path).target(out).exists():
                continue
        except ValueError:
            pass  # convert says why
        yield path


def run(client: Client, captures: Path, out: Path) -> dict[Path, str]:
    """Convert all that waits; why some could not be, by path."""
    paths = list(waiting(captures, out))
    jobs = client.map(convert, paths, out=out, pure=False, batch_size=200)
    path_of = dict(zip(jobs, paths, strict=True))
    set_aside: dict[Path, str] = {}
    for number, job in enumerate(as_completed(jobs), 1):
        # A worker that died with a capture is a reason too.
        reason = job.result() if job.status == "finished" else repr(job.exception())
        if reason:
            set_aside[path_of[job]] = reason
        if sys.stderr.isatty() or number == len(paths):
            end = "\n" if number == len(paths) else ""
            print(f"\r{number} of {len(paths)} captures", end=end, file=sys.stderr, flush=True)
    return set_aside


def ask(out: Path, question: str = QUESTION) -> list[tuple[Any, ...]]:
    """What DuckDB answers over all the Parquet there is."""
    files = str(out / "host=*" / "day=*" / "*.parquet")
    return duckdb.execute(question, {"files": files}).fetchall()


def main() -> int:
    """Convert, and answer the question."""
    parser = argparse.ArgumentParser(description="Captures of a fleet to Parquet, by Dask.")
    parser.add_argument("captures", type=Path, help="folder of HOST/TIME-PID.smaps[.gz|.xz|.zst]")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder for the Parquet")
    parser.add_argument("--workers", type=int, help="processes on this machine (one a core)")
    parser.add_argument("--scheduler", help="address of a Dask cluster that sees both folders")
    parser.add_argument("--ask", action="store_true", help="only ask, convert nothing")
    options = parser.parse_args()
    if not options.captures.is_dir():
        parser.error(f"{options.captures} is no folder")
    set_aside: dict[Path, str] = {}
    if not options.ask:
        options.out.mkdir(parents=True, exist_ok=True)
        if options.scheduler:
            with Client(options.scheduler) as client:
                set_aside = run(client, options.captures, options.out)
        else:
            workers = {"n_workers": options.workers, "threads_per_worker": 1}
            with (
                LocalCluster(**workers, dashboard_address=None) as cluster,
                Client(cluster) as client,
            ):
                set_aside = run(client, options.captures, options.out)
        with (options.out / "set-aside.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["capture", "reason"])
            writer.writerows(sorted((str(path), reason) for path, reason in set_aside.items()))
        if set_aside:
            print(f"{len(set_aside)} set aside: {options.out / 'set-aside.csv'}", file=sys.stderr)
    print(f"{'kB':>10} {'hosts':>6} {'processes':>9}  private memory grew in")
    for name, grown, hosts, processes in ask(options.out):
        print(f"{grown:>10} {hosts:>6} {processes:>9}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
