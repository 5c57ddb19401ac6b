"""References to papers: arXiv numbers and DOIs as links, citations as numbers."""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform

PAPER = re.compile(
    r"arXiv:\s?(?P<arxiv>\d{4}\.\d{4,5}|[a-z-]+/\d{7})"
    r"|doi:\s?(?P<doi>10\.\d{4,9}/[^\s,;]*[^\s,;.)])",
    re.IGNORECASE,
)


def address(found):
    """Return the address of the paper that a match names."""
    if found["arxiv"]:
        return f"https://arxiv.org/abs/{found['arxiv']}"
    return f"https://doi.org/{found['doi']}"


def linked(text):
    """Return the text as nodes, with a reference for each paper."""
    parts, end = [], 0
    for found in PAPER.finditer(text):
        parts.append(nodes.Text(text[end : found.start()]))
        parts.append(nodes.reference(text=found[0], refuri=address(found)))
        end = found.end()
    return [*parts, nodes.Text(text[end:])]


class PaperLinks(SphinxTransform):
    """Replace numbers of papers, except in code and where they are links already."""

    default_priority = 500

    def apply(self):
        """Go through all texts of a page."""
        for text in list(self.document.findall(nodes.Text)):
            code = nodes.literal | nodes.FixedTextElement | nodes.reference | nodes.raw
            if PAPER.search(text) and not isinstance(text.parent, code):
                text.parent.replace(text, linked(str(text)))


def number_citations(app, doctree, docname):
    """Show the citations of a page of the guide as [1], [2], ... in their order."""
    if not docname.startswith("user_guide/"):
        return
    numbers = {}
    for citation in doctree.findall(nodes.citation):
        numbers[citation["ids"][0]] = number = str(len(numbers) + 1)
        citation[0][:] = [nodes.Text(number)]
    for reference in doctree.findall(nodes.reference):
        number = numbers.get(reference.get("refid"))
        if number and reference.astext().startswith("["):
            reference[:] = [nodes.inline(text=f"[{number}]")]


def setup(app):
    """Register the transform, and number citations when all pages are read."""
    app.add_transform(PaperLinks)
    app.connect("doctree-resolved", number_citations)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
