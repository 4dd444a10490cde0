"""
Gather the captures of many machines in few Parquet files by host and day, on all workers of Dask.

    pip install . --group fleet
    python examples/fleet/fleet.py CAPTURES -o OUT [--workers N | --scheduler ADDRESS]
    python examples/fleet/fleet.py CAPTURES -o OUT --ask

CAPTURES is a folder of HOST/TIME-PID.smaps, compressed or not, with TIME such as
20261124T120000Z; docs/many-captures.md has a line for cron that writes them. Host, time and PID
become columns. Captures that cannot be read are listed with the reason in OUT/set-aside.csv; those
in OUT already are not read again.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs
import duckdb
import pandas as pd
from distributed import Client, LocalCluster, as_completed

import smapskit

_NAME = re.compile(r"(\d{8}T\d{6}Z)-(\d+)\.smaps(\.\w+)?")
_BATCH = 1000
"""Captures per Parquet file at most: about 100,000 rows, a few MB."""

QUESTION = """
-- Which private memory grew most over all hosts, from first to last capture of each process?
-- By file (such as a library), or by kind (such as the heap) where it has no file.
WITH sums AS (
    SELECT host, pid, time, sum(private_clean + private_dirty) AS private,
        CASE WHEN starts_with(pathname, '/') THEN pathname::VARCHAR ELSE kind::VARCHAR END AS name
    FROM read_parquet($files, hive_partitioning = true)
    GROUP BY ALL
),
growth AS (
    SELECT name, host, pid, arg_max(private, time) - arg_min(private, time) AS grown
    FROM sums GROUP BY ALL HAVING count(*) > 1
)
SELECT name, sum(grown)::BIGINT AS kB, count(DISTINCT host) AS hosts, count(*) AS processes
FROM growth WHERE grown > 0 GROUP BY name ORDER BY kB DESC, name LIMIT 20
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

    def partition(self) -> tuple[str, str]:
        """Return what the captures of one Parquet file have in common: host and day."""
        return self.host, f"{self.time:%Y-%m-%d}"


def convert(captures: list[Capture], out: Path) -> dict[Path, str]:
    """
    Write captures of one host and day to one Parquet file; called by the workers of Dask.

    Returns:
        The reason by path for the captures that could not be read.
    """
    frame = smapskit.load_frame([capture.path for capture in captures], workers=1)
    unreadable = {Path(path): reason for path, reason in frame.attrs["unreadable"].items()}
    for path in sources_of_several(frame):
        unreadable[Path(path)] = f"{path}: expected one process, got several"
    frame = frame[~frame["source"].isin([str(path) for path in unreadable])]
    if len(frame):
        of_path = {str(capture.path): capture for capture in captures}
        read = [of_path[path] for path in frame["source"]]
        frame = frame.reset_index(drop=True).drop(columns="source")
        frame["time"] = [capture.time for capture in read]
        frame["pid"] = [capture.pid for capture in read]
        frame["capture"] = pd.Categorical([capture.path.name for capture in read])
        host, day = captures[0].partition()
        folder = out / f"host={host}" / f"day={day}"
        folder.mkdir(parents=True, exist_ok=True)
        # No other file has this name: its first capture is in no other file.
        target = folder / f"{captures[0].time:%H%M%S}-{captures[0].pid}.parquet"
        frame.attrs = {}
        partial = target.with_suffix(".new")
        frame.to_parquet(partial, index=False)
        partial.replace(target)  # so that a file in OUT is always complete
    return unreadable


def sources_of_several(frame: pd.DataFrame) -> set[str]:
    """Return the captures of several processes: their addresses begin again."""
    source = frame["source"].to_numpy()
    begins_again = frame["end"].to_numpy()[1:] <= frame["start"].to_numpy()[:-1]
    return set(source[1:][begins_again & (source[1:] == source[:-1])])


def find_new(captures: Path, out: Path) -> tuple[list[list[Capture]], dict[Path, str]]:
    """Return the captures that are in no Parquet file, in batches, and what is not a capture."""
    done = converted(out)
    new = []
    foreign = {}
    for path in sorted(captures.glob("*/*")):
        try:
            capture = Capture.from_path(path)
        except ValueError as error:
            foreign[path] = str(error)
            continue
        if (capture.host, path.name) not in done:
            new.append(capture)
    batches = []
    for _partition, group in groupby(new, Capture.partition):
        members = list(group)
        batches += [members[at : at + _BATCH] for at in range(0, len(members), _BATCH)]
    return batches, foreign


def converted(out: Path) -> set[tuple[str, str]]:
    """Return host and file name of the captures that are in OUT."""
    files = [str(path) for path in out.glob("host=*/day=*/*.parquet")]
    if not files:
        return set()
    question = (
        "SELECT DISTINCT host::VARCHAR, capture::VARCHAR"
        " FROM read_parquet($files, hive_partitioning = true)"
    )
    return set(duckdb.execute(question, {"files": files}).fetchall())


def run(client: Client, captures: Path, out: Path) -> dict[Path, str]:
    """Convert the new captures; return the reason by path for those that could not be."""
    batches, set_aside = find_new(captures, out)
    jobs = client.map(convert, batches, out=out, pure=False)
    batch_of = dict(zip(jobs, batches, strict=True))
    total = sum(map(len, batches))
    done = 0
    for job in as_completed(jobs):
        batch = batch_of[job]
        if job.status == "finished":
            set_aside |= job.result()
        else:  # a worker that was killed while it read them is a reason too
            set_aside |= {capture.path: repr(job.exception()) for capture in batch}
        done += len(batch)
        if sys.stderr.isatty() or done == total:
            end = "\n" if done == total else ""
            print(f"\r{done} of {total} captures", end=end, file=sys.stderr, flush=True)
    return set_aside


def ask(out: Path, question: str = QUESTION) -> list[tuple[Any, ...]]:
    """Run a query of DuckDB over all Parquet files; return its rows."""
    files = str(out / "host=*" / "day=*" / "*.parquet")
    return duckdb.execute(question, {"files": files}).fetchall()


def main() -> int:
    """Convert the new captures, then print the answer to the question."""
    parser = argparse.ArgumentParser(
        description="Gather captures of many hosts in Parquet with Dask; query them with DuckDB."
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
    print(f"{'kB':>10} {'Hosts':>6} {'Processes':>9}  Private memory that grew")
    for name, grown, hosts, processes in ask(options.out):
        print(f"{grown:>10,} {hosts:>6} {processes:>9}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
