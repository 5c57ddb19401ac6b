"""Find names of the package that are written without their module.

A docstring may say `Step` for `sknoisy.nets.Step`, and a page `LabelReport.apply`.
"""

from sphinx.util.nodes import make_refnode


def find(app, env, node, content):
    """Return a link to the only object of the package that ends in a name, if any."""
    name = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not name:
        return None
    objects = env.get_domain("py").objects
    places = {
        (full.count("."), found.docname, found.node_id): full
        for full, found in objects.items()
        if full.endswith(f".{name}") and not found.aliased
    }
    # Most names are in the package itself, others in one of its modules.
    nearest = [place for place in places if place[0] == min(places)[0]]
    if len(nearest) != 1:
        return None
    (_, docname, node_id), full = nearest[0], places[nearest[0]]
    page = node.get("refdoc", env.docname)
    return make_refnode(app.builder, page, docname, node_id, content, full)


def setup(app):
    """Look at names that Sphinx did not find."""
    app.connect("missing-reference", find)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
