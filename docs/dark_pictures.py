"""
Sphinx extension: show the dark variant of a picture on a dark page.

Pages name one picture, such as memory.png. If memory-dark.png is beside it, both are written, and
the theme shows one of them. A picture without a dark variant gets a class by which the style sheet
darkens it.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class DarkPictures(SphinxTransform):
    """Add the dark variants of a page's pictures."""

    default_priority = 200  # before Sphinx collects the files of the pictures

    def apply(self, **_arguments: object) -> None:
        """Change the pictures of one page."""
        folder = Path(self.env.doc2path(self.env.docname)).parent
        for light in list(self.document.findall(nodes.image)):
            picture = Path(light["uri"])
            dark = picture.with_name(f"{picture.stem}-dark{picture.suffix}")
            if not (folder / dark).is_file():
                light["classes"].append("darkened")
                continue
            variant = light.deepcopy()
            variant["uri"] = dark.as_posix()
            variant["classes"].append("only-dark")
            light["classes"].append("only-light")
            light.parent.insert(light.parent.index(light) + 1, variant)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the transform."""
    app.add_transform(DarkPictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
