"""Builds wheel and sdist, checks what is in them, and uses the wheel where it is alone.

    python .ci/distributions.py [FOLDER] [--release] [--with-dependencies]

The wheel is built from the sdist, so both are complete or neither. It is installed in a
new virtual environment which sees the packages beside the running Python, but not the
package in this folder; with ``--with-dependencies`` it sees nothing and installs all.
``--release`` demands what a release must have: names and addresses, a version without
suffix, and its section of the changelog with a date. FOLDER keeps both files.
"""

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IN_SDIST = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "SECURITY.md"}
IN_SDIST |= {"pyproject.toml", "PKG-INFO", ".gitignore"}
URLS = {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
# Runs outside of the repository: where the package comes from, that each room can be
# imported, and that a detector and the command line work.
USE = """
import importlib, pkgutil, sys
import numpy as np
import sknoisy
assert sknoisy.__file__.startswith(sys.prefix), sknoisy.__file__
for module in pkgutil.walk_packages(sknoisy.__path__, "sknoisy."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
X = np.random.default_rng(0).normal(size=(200, 4))
y = (X[:, 0] > 0).astype(int)
y[:10] = 1 - y[:10]
found = sknoisy.AUMDetector(max_epochs=3, random_state=0).fit(X, y).ranking()
assert len(set(found[:20]) & set(range(10))) > 5, found[:20]
"""


def build(folder):
    """Build both, and return their paths."""
    command = [sys.executable, "-m", "build", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def tracked():
    """Return the files of the package that git knows."""
    command = ["git", "-C", ROOT, "ls-files", "sknoisy"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(text.splitlines())


def faults_of_wheel(names, sources):
    """Return a sentence for each file that a wheel lacks or has to spare.

    Parameters
    ----------
    names : iterable of str
        Files of the wheel.
    sources : set of str
        Files of the package.
    """
    names = set(names)
    about = {n for n in names if re.match(r"sknoisy-[^/]+\.dist-info/", n)}
    faults = [f"the wheel lacks {n}" for n in sorted(sources - names)]
    surplus = names - sources - about
    faults += [f"the wheel has {n}, which is not of it" for n in sorted(surplus)]
    for wanted in ("licenses/LICENSE", "METADATA", "entry_points.txt"):
        if not any(n.endswith(f".dist-info/{wanted}") for n in about):
            faults.append(f"the wheel lacks {wanted}")
    if "sknoisy/py.typed" not in names:
        faults.append("the wheel lacks sknoisy/py.typed")
    return faults


def faults_of_sdist(names, sources):
    """Return a sentence for each file that an sdist lacks or has to spare."""
    names = {name.split("/", 1)[1] for name in names if "/" in name}
    wanted = sources | (IN_SDIST - {".gitignore"})
    faults = [f"the sdist lacks {n}" for n in sorted(wanted - names)]
    surplus = names - sources - IN_SDIST
    return faults + [f"the sdist has {n}, which is not of it" for n in sorted(surplus)]


def faults_of_release(metadata, project, changelog):
    """Return what must be filled in before a release.

    Parameters
    ----------
    metadata : Message
        Of the wheel.
    project : dict
        The table of that name in pyproject.toml.
    changelog : str
    """
    version = metadata["Version"]
    faults = []
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        faults.append(f"the version {version} has a suffix")
    if not re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.M
    ):
        faults.append(f"CHANGELOG.md has no section of {version} with a date")
    filled = {name for name, url in project.get("urls", {}).items() if url}
    faults += [f"[project.urls] has no {name}" for name in sorted(URLS - filled)]
    people = project.get("maintainers", [])
    if not any(p.get("name") and p.get("email") for p in people):
        faults.append("project.maintainers has nobody with a name and an address")
    return faults


def use(wheel, folder, alone):
    """Install the wheel in a new environment, and run what a user would."""
    venv.create(folder, with_pip=True, clear=True)
    python = folder / "bin/python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *([] if alone else ["--no-deps"]), wheel], check=True)
    if not alone:
        # Packages beside this Python, in a file whose own .pth files are not read: so
        # the package in this folder, installed for development, is not seen.
        paths = dict.fromkeys(
            sysconfig.get_path(kind) for kind in ("purelib", "platlib")
        )
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "packages.pth").write_text("\n".join(sorted(paths)))
    environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    for command in (
        [python, "-W", "error", "-c", USE],
        [python, "-m", "sknoisy", "--version"],
        [folder / "bin/sknoisy", "--help"],
    ):
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{command[1:]} failed:\n{done.stdout}{done.stderr}")


def main():
    """Build, look inside, and use the wheel."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", help="keeps both files")
    parser.add_argument("--release", action="store_true")
    parser.add_argument("--with-dependencies", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        wheel, sdist = build(Path(temporary) / "dist")
        with zipfile.ZipFile(wheel) as file:
            names = file.namelist()
            (about,) = [n for n in names if n.endswith(".dist-info/METADATA")]
            metadata = Parser().parsestr(file.read(about).decode())
        with tarfile.open(sdist) as file:
            members = [m.name for m in file.getmembers() if m.isfile()]
        faults = faults_of_wheel(names, tracked())
        faults += faults_of_sdist(members, tracked())
        if args.release:
            project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
            faults += faults_of_release(metadata, project, changelog)
        if faults:
            sys.exit("\n".join(faults))
        use(wheel, Path(temporary) / "alone", args.with_dependencies)
        for path in (wheel, sdist):
            count = len(names if path is wheel else members)
            print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB, {count} files")
            if args.folder:
                args.folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, args.folder)


if __name__ == "__main__":
    main()
