"""The class of all figures. This is the only module that imports matplotlib when it is loaded."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

_SCALE = 2
"""Dots of the picture per dot of a notebook page: screens with a high resolution show them all."""


class NotebookFigure(Figure):
    """A figure that a notebook displays without pyplot, which would keep it open."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return a picture with twice the resolution, and the size to display it in."""
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=_SCALE * self.dpi)
        width, height = self.get_size_inches() * self.dpi
        return picture.getvalue(), {"width": round(width), "height": round(height)}
