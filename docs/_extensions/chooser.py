"""A directive that draws a chooser: questions, what applies, and where to read on.

The content has a question in each line that is not indented, and below it lines of the
form ``what applies | page | what to take``. ``page`` is a page of the same folder, and
may end in ``#section``. It becomes two drawings in SVG, one of which suits the width of
the screen; their ends are links, and they take the colours of the page.
"""

from html import escape

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

LETTER, LINE = 7.6, 17
# Of the drawing for wide screens: left side and width of its three columns.
QUESTIONS, CASES, ENDS = (1, 169), (205, 330), (590, 310)
ROW, GAP, WIDE = 44, 18, 902
# Of the one for narrow screens.
NARROW, INDENT, CASE, END = 360, 26, 52, 36


def lines_of(text, width):
    """Break a text into lines of a width in pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) * LETTER > width - 20 and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def words(text, x, middle, width, anchor):
    """Return a text around a height, as SVG."""
    lines = lines_of(text, width)
    first = middle + 5 - LINE / 2 * (len(lines) - 1)
    spans = "".join(
        f'<tspan x="{x}" y="{first + LINE * number}">{escape(part)}</tspan>'
        for number, part in enumerate(lines)
    )
    return f'<text text-anchor="{anchor}">{spans}</text>'


def box(kind, text, column, middle, height=ROW - 8):
    """Return a box with a text in its middle, as SVG."""
    left, width = column
    return (
        f'<g class="chooser-{kind}"><rect x="{left}" y="{middle - height / 2}" '
        f'width="{width}" height="{height}" rx="8"/>'
        f"{words(text, left + width / 2, middle, width, 'middle')}</g>"
    )


def linked(address, drawn):
    """Return a part of the drawing as a link."""
    return f'<a href="{escape(address)}">{drawn}</a>'


def curve(x, y, x2, y2):
    """Return a curve between the sides of two boxes."""
    bend = (x + x2) / 2
    return f'<path d="M{x} {y}C{bend} {y} {bend} {y2} {x2} {y2}"/>'


def svg(kind, width, height, parts):
    """Return a drawing of a size."""
    return (
        f'<svg class="chooser-{kind}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def wide(groups):
    """Draw (question, [(case, address, end), ...]) pairs in three columns."""
    parts, top = [], 1
    for question, cases in groups:
        middle = top + len(cases) * ROW / 2
        for number, (case, address, end) in enumerate(cases):
            y = top + (number + 0.5) * ROW
            parts += [
                curve(sum(QUESTIONS), middle, CASES[0], y),
                curve(sum(CASES), y, ENDS[0], y),
                box("case", case, CASES, y),
                linked(address, box("end", end, ENDS, y)),
            ]
        parts.append(box("question", question, QUESTIONS, middle, 76))
        top += len(cases) * ROW + GAP
    return svg("wide", WIDE, top, parts)


def narrow(groups):
    """Draw the same from top to bottom, each end below what applies."""
    parts, top = [], 1
    for question, cases in groups:
        parts.append(box("question", question, (1, NARROW - 2), top + ROW / 2, ROW))
        top += ROW
        start = top
        for case, address, end in cases:
            text = words(case, INDENT, top + CASE / 2 + 3, NARROW - INDENT, "start")
            y = top + CASE + END / 2
            column = (INDENT, NARROW - INDENT - 1)
            parts += [
                text,
                f'<path d="M12 {y}H{INDENT}"/>',
                linked(address, box("end", end, column, y, END)),
            ]
            top += CASE + END
        parts.append(f'<path d="M12 {start}V{top - END / 2}"/>')
        top += GAP
    return svg("narrow", NARROW, top, parts)


class Chooser(SphinxDirective):
    """Draw the chooser that the content describes."""

    has_content = True

    def run(self):
        """Return the drawing; a page that does not exist is a warning."""
        groups = []
        for text in filter(str.strip, self.content):
            if text.startswith(" "):
                case, target, end = (part.strip() for part in text.split("|"))
                groups[-1][1].append((case, self.address(target), end))
            else:
                groups.append((text, []))
        drawn = f'<div class="chooser">{wide(groups)}{narrow(groups)}</div>'
        return [nodes.raw("", drawn, format="html")]

    def address(self, target):
        """Return the relative address of a page beside this one."""
        page, hash_sign, section = target.partition("#")
        name = f"{self.env.docname.rpartition('/')[0]}/{page}"
        if name not in self.env.found_docs:
            logging.getLogger(__name__).warning(
                "no page %s for the chooser", name, location=self.get_location()
            )
            return ""
        builder = self.env.app.builder
        return builder.get_relative_uri(self.env.docname, name) + hash_sign + section


def setup(app):
    """Register the directive."""
    app.add_directive("chooser", Chooser)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
