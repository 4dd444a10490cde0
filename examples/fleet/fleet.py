"""
Convert the captures of many machines to Parquet by host and day, on all workers of Dask.

    pip install . --group fleet
    python examples/fleet/fleet.py CAPTURES -o OUT [--workers N | --scheduler ADDRESS]
    python examples/fleet/fleet.py CAPTURES -o OUT --ask

CAPTURES is a folder of HOST/TIME-PID.smaps, compressed or not, with TIME such as
20261124T120000Z; docs/fleets.md has a cron job of one line that writes them. Captures that cannot
be read are listed with the reason in OUT/set-aside.csv; those in OUT already are not read again.
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

_NAME = re.compile(r"(\d{8}T\d{6}Z)-(\d+)\.smaps(\.\w+)?")

QUESTION = """
-- Which library's private memory grew most over all hosts, from the first capture of each
-- process to its last?
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
    """The path of a saved smaps, and the host, time and process that it names."""

    path: Path
    host: str
    time: datetime
    pid: int

    @classmethod
    def from_path(cls, path: Path) -> Capture:
        """
        Parse the path.

        Raises:
            ValueError: it is not HOST/TIME-PID.smaps.
        """
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise ValueError("expected a name such as HOST/20261124T120000Z-1234.smaps.gz")
        time = datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return cls(path, path.parent.name, time, int(match[2]))

    def target(self, out: Path) -> Path:
        """Return the path of its Parquet file."""
        folder = out / f"host={self.host}" / f"day={self.time:%Y-%m-%d}"
        return folder / f"{self.time:%H%M%S}-{self.pid}.parquet"


def convert(path: Path, out: Path) -> str:
    """
    Convert a capture to Parquet; called by the workers of Dask.

    Returns:
        The reason why it could not be converted, or "".
    """
    try:
        capture = Capture.from_path(path)
    except ValueError as error:
        return str(error)
    frame = smapskit.load_frame([path], workers=1)  # without records: half the time of load
    if reason := frame.attrs["unreadable"].get(str(path)):
        return str(reason)
    if (frame["end"].to_numpy()[1:] <= frame["start"].to_numpy()[:-1]).any():
        return f"{path}: expected one process, got several"
    target = capture.target(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    frame = frame.drop(columns="source")
    frame.insert(0, "time", capture.time)
    frame.insert(1, "pid", capture.pid)
    frame.attrs = {}
    partial = target.with_suffix(".new")
    frame.to_parquet(partial, index=False)
    partial.replace(target)  # so that a file in OUT is always complete
    return ""


def find_new(captures: Path, out: Path) -> Iterator[Path]:
    """Yield the captures that have no Parquet file yet."""
    for path in sorted(captures.glob("*/*")):
        try:
            if Capture.from_path(path).target(out).exists():
                continue
        except ValueError:
            pass  # convert returns the reason
        yield path


def run(client: Client, captures: Path, out: Path) -> dict[Path, str]:
    """Convert the new captures; return the reason by path for those that could not be."""
    paths = list(find_new(captures, out))
    jobs = client.map(convert, paths, out=out, pure=False, batch_size=200)
    path_of = dict(zip(jobs, paths, strict=True))
    set_aside: dict[Path, str] = {}
    for number, job in enumerate(as_completed(jobs), 1):
        # A worker that was killed while it read a capture is a reason too.
        reason = job.result() if job.status == "finished" else repr(job.exception())
        if reason:
            set_aside[path_of[job]] = reason
        if sys.stderr.isatty() or number == len(paths):
            end = "\n" if number == len(paths) else ""
            print(f"\r{number} of {len(paths)} captures", end=end, file=sys.stderr, flush=True)
    return set_aside


def ask(out: Path, question: str = QUESTION) -> list[tuple[Any, ...]]:
    """Run a query of DuckDB over all Parquet files; return its rows."""
    files = str(out / "host=*" / "day=*" / "*.parquet")
    return duckdb.execute(question, {"files": files}).fetchall()


def main() -> int:
    """Convert the new captures, then print the answer to the question."""
    parser = argparse.ArgumentParser(
        description="Convert captures of many hosts to Parquet with Dask; query them with DuckDB."
    )
    parser.add_argument("captures", type=Path, help="folder of HOST/TIME-PID.smaps[.gz|.xz|.zst]")
    parser.add_argument(
        "-o", "--out", type=Path, required=True, help="folder for the Parquet files"
    )
    parser.add_argument(
        "--workers", type=int, help="number of processes on this machine (default: one per core)"
    )
    parser.add_argument(
        "--scheduler", help="address of a Dask cluster that can read and write both folders"
    )
    parser.add_argument("--ask", action="store_true", help="only run the query, convert nothing")
    options = parser.parse_args()
    if not options.captures.is_dir():
        parser.error(f"{options.captures} is not a folder")
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
