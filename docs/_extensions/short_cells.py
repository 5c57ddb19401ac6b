"""Keep short cells of tables, such as pairs of figures, on one line."""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform

SHORT = 16
FIGURES = re.compile(r"[\d.,/ +\-−%()]+")


class ShortCells(SphinxTransform):
    """Mark the cells that are not to be broken."""

    default_priority = 500

    def apply(self):
        """Go through all cells of a page."""
        for cell in self.document.findall(nodes.entry):
            text = cell.astext().strip()
            if len(text) <= SHORT or FIGURES.fullmatch(text):
                cell["classes"].append("short")


def setup(app):
    """Register the transform."""
    app.add_transform(ShortCells)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
