"""
Draw the pictures of the README and the documentation from captures and recordings.

    python docs/pictures.py

Each is drawn for a light and for a dark page: memory.png and memory-dark.png.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import matplotlib.style
from matplotlib.figure import Figure

import smapskit

HERE = Path(__file__).parent
CAPTURES = HERE.parent / "tests" / "fixtures"
PAGEOUT = HERE.parent / "examples" / "pageout"
DPI = 160
"""About twice what a page shows: screens with a high resolution show every dot."""
DARK = ("dark_background", {"figure.facecolor": "#131416", "axes.facecolor": "#131416"})
"""The background of the documentation's dark pages."""
_PAGES = ("sequential", "hot", "advice")
"""The runs whose pages are drawn over time."""
_ORDERS = ("sequential", "shuffled", "hot", "twice")
"""The runs whose orders of eviction are drawn beside each other."""


def main() -> None:
    """Draw all of them."""
    for name, figure in figures():
        save(figure, f"{name}.png")
    with matplotlib.style.context(DARK):
        for name, figure in figures():
            save(figure, f"{name}-dark.png")


def figures() -> Iterator[tuple[str, Figure]]:
    """Yield the name and the figure of each picture."""
    snapshot = smapskit.load(CAPTURES / "postgres" / "smaps.txt")
    process = smapskit.load(CAPTURES / "postgres" / "pmap.txt")
    yield "memory", attrs.evolve(snapshot, pid=process.pid, command="postgres -D data").plot()
    jvm = smapskit.load(CAPTURES / "runtimes" / "jvm-g1.smaps.gz")
    yield "kinds", attrs.evolve(jvm, source=None, command="java -XX:+UseG1GC").plot("kind")
    yield "pages", smapskit.load_pages(CAPTURES / "pages.npz").plot()
    sys.path.insert(0, str(PAGEOUT))
    import graph  # noqa: PLC0415  the example is not a package
    import page_graph  # noqa: PLC0415
    from order import Order  # noqa: PLC0415
    from page_run import PageRun  # noqa: PLC0415

    for run in sorted((PAGEOUT / "recorded").glob("*.csv")):
        yield f"pageout-{run.stem}", graph.draw(smapskit.Recording.load(run))
    names = {*_PAGES, *_ORDERS}
    orders = {
        name: Order(PageRun.load(PAGEOUT / "recorded" / f"pages-{name}.npz")) for name in names
    }
    for name in _PAGES:
        yield f"pages-{name}", page_graph.draw_pages(orders[name])
    yield "pages-order", page_graph.draw_order([orders[name] for name in _ORDERS])


def save(figure: Figure, name: str) -> None:
    """Write a picture whose bytes depend on the figure alone."""
    figure.savefig(HERE / name, dpi=DPI, metadata={"Software": None})


if __name__ == "__main__":
    main()
