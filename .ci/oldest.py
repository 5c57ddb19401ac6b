"""Prints constraints for pip: the oldest versions that pyproject.toml says will do.

    python .ci/oldest.py > oldest.txt && pip install -c oldest.txt ".[test]"

Each lower bound becomes that release with its latest correction: ``numpy>=2.0`` is
``numpy==2.0.*``. With extras named on the command line, their bounds only, beside those
of the package itself; without, those of all but the tools in docs and dev.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
TOOLS = {"docs", "dev"}
REQUIREMENT = re.compile(r"(?P<name>[\w-]+)(\[[\w,-]+\])?(?P<bounds>[^;]*)")


def constraints(project, extras=()):
    """Return a line for each package that has a lower bound, sorted.

    Parameters
    ----------
    project : dict
        The table of that name in pyproject.toml.
    extras : collection of str
        None of them is all but the tools.
    """
    optional = project["optional-dependencies"]
    chosen = extras or optional.keys() - TOOLS
    given = [*project["dependencies"], *(r for name in chosen for r in optional[name])]
    found = {}
    for requirement in given:
        parts = REQUIREMENT.match(requirement)
        lowest = re.search(r">=([\d.]+)", parts["bounds"])
        if lowest:
            found[parts["name"]] = f"{parts['name']}=={lowest[1]}.*"
        elif parts["name"] != project["name"]:
            raise ValueError(f"{requirement!r} has no lower bound")
    return sorted(found.values())


if __name__ == "__main__":
    with PROJECT.open("rb") as file:
        print("\n".join(constraints(tomllib.load(file)["project"], sys.argv[1:])))
