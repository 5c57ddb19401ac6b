"""Names and roles that the theme and docutils leave out, for readers of screens."""

from docutils import nodes


def visit_citation(writer, node):
    """Begin an item of a list of references, and the list before its first."""
    if not isinstance(node.previous_sibling(), nodes.citation):
        writer.body.append('<div role="list" class="citation-list">\n')
    writer.body.append(
        writer.starttag(node, "div", classes=["citation"], role="listitem")
    )


def depart_citation(writer, node):
    """End it, and the list after its last item."""
    writer.body.append("</div>\n")
    following = node.next_node(descend=False, siblings=True)
    if not isinstance(following, nodes.citation):
        writer.body.append("</div>\n")


def named_switches(app, pagename, templatename, context, doctree):
    """Name the switches that unfold a part of the sidebar."""
    generate = context.get("generate_toctree_html")
    if generate is None:
        return

    def generate_named(*args, **kwargs):
        text = str(generate(*args, **kwargs))
        return text.replace("<summary>", '<summary aria-label="Pages of this section">')

    context["generate_toctree_html"] = generate_named


def setup(app):
    """Replace the writers of citations; come after the theme, which listens at 500."""
    app.add_node(nodes.citation, override=True, html=(visit_citation, depart_citation))
    app.connect("html-page-context", named_switches, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
