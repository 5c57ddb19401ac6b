"""Links from names to their lines in the repository."""

import importlib
import inspect
from functools import reduce
from pathlib import Path

import sknoisy

ROOT = Path(sknoisy.__file__).parents[1]


def resolve(domain, info, repository, revision):
    """Return the address of the lines that define a name, or None."""
    if domain != "py" or not info["module"]:
        return None
    try:
        module = importlib.import_module(info["module"])
        found = inspect.unwrap(reduce(getattr, info["fullname"].split("."), module))
        path = Path(inspect.getsourcefile(found)).relative_to(ROOT)
        lines, first = inspect.getsourcelines(found)
    except (AttributeError, OSError, TypeError, ValueError):
        # A value, or code of another package.
        return None
    place = f"L{first}-L{first + len(lines) - 1}"
    return f"{repository}/blob/{revision}/{path.as_posix()}#{place}"


def setup(app):
    """Set up sphinx.ext.linkcode with the repository of the configuration."""
    config = app.config._raw_config
    version = sknoisy.__version__
    revision = "main" if "dev" in version else f"v{version}"
    config["linkcode_resolve"] = lambda domain, info: resolve(
        domain, info, config["repository"], revision
    )
    app.setup_extension("sphinx.ext.linkcode")
    app.config.linkcode_resolve = config["linkcode_resolve"]
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
