"""
Draw the pictures of the README and the documentation from captures and recordings.

    python docs/pictures.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import attrs

import smapskit

HERE = Path(__file__).parent
CAPTURES = HERE.parent / "tests" / "fixtures"
PAGEOUT = HERE.parent / "examples" / "pageout"
_PAGES = ("sequential", "hot", "advice")
"""The runs whose pages are drawn over time."""
_ORDERS = ("sequential", "shuffled", "hot", "twice")
"""The runs whose orders of eviction are drawn beside each other."""


def main() -> None:
    """Draw all of them."""
    snapshot = smapskit.load(CAPTURES / "postgres" / "smaps.txt")
    process = smapskit.load(CAPTURES / "postgres" / "pmap.txt")
    named = attrs.evolve(snapshot, pid=process.pid, command="postgres -D data")
    named.plot().savefig(HERE / "memory.png", dpi=100)
    smapskit.load_pages(CAPTURES / "pages.npz").plot().savefig(HERE / "pages.png", dpi=80)
    draw_pageout()


def draw_pageout() -> None:
    """Draw each recording of the page-out experiment."""
    sys.path.insert(0, str(PAGEOUT))
    import graph  # noqa: PLC0415  the example is not a package
    import page_graph  # noqa: PLC0415
    from order import Order  # noqa: PLC0415
    from page_run import PageRun  # noqa: PLC0415

    for run in sorted((PAGEOUT / "recorded").glob("*.csv")):
        figure = graph.draw(smapskit.Recording.load(run))
        figure.savefig(HERE / f"pageout-{run.stem}.png", dpi=80)
    names = {*_PAGES, *_ORDERS}
    orders = {
        name: Order(PageRun.load(PAGEOUT / "recorded" / f"pages-{name}.npz")) for name in names
    }
    for name in _PAGES:
        page_graph.draw_pages(orders[name]).savefig(HERE / f"pages-{name}.png", dpi=80)
    ordered = [orders[name] for name in _ORDERS]
    page_graph.draw_order(ordered).savefig(HERE / "pages-order.png", dpi=80)


if __name__ == "__main__":
    main()
