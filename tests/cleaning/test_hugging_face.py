"""Datasets of Hugging Face, with their own package."""

import numpy as np
import pytest
from tool_files import SCORES, report_of, said

from sknoisy.cleaning import read_decisions

# Not "datasets" itself: that is also a folder of these tests.
pytest.importorskip("datasets.arrow_dataset")
import datasets as hf

NAMES = ["dog", "ant", "cat", "bee"]


def dataset_of(labels, feature=None):
    kinds = {"text": hf.Value("string"), "label": feature or hf.Value("string")}
    data = {"text": [f"t{i}" for i in range(8)], "label": labels}
    return hf.Dataset.from_dict(data, features=hf.Features(kinds))


def class_label(names=NAMES):
    # Rows have the classes in turn.
    return dataset_of([0, 1, 2, 3] * 2, hf.ClassLabel(names=names))


@pytest.fixture(params=["codes", "names", "strings"])
def case(request):
    """A dataset, its report, and the values of labels by the names of NAMES."""
    if request.param == "strings":
        return dataset_of(NAMES * 2), report_of(NAMES), {name: name for name in NAMES}
    labels = [0, 1, 2, 3] if request.param == "codes" else NAMES
    return class_label(), report_of(labels), {name: i for i, name in enumerate(NAMES)}


def answered(dataset, column, answers):
    """Return a dataset with other values of a column, by row."""
    values = list(dataset[column])
    for place, row in enumerate(dataset["row"]):
        values[place] = answers.get(row, values[place])
    feature = dataset.features[column]
    return dataset.remove_columns(column).add_column(column, values, feature=feature)


def test_columns_are_added_and_labels_keep_their_kind(case):
    dataset, report, _ = case
    more = report.to_dataset(dataset, n_random=2)
    assert more.column_names[:2] == ["text", "label"] and len(more) == 8
    assert more["is_label_issue"][:3] == [False, True, True]
    np.testing.assert_allclose(more["suspicion"], SCORES)
    feature = dataset.features["label"]
    for name in ("suggested_label", "given_label", "reviewed_label"):
        assert more.features[name] == feature
    assert list(more["given_label"]) == list(dataset["label"])
    assert list(more["reviewed_label"]) == [None] * 8
    assert sum(sample != "" for sample in more["sample"]) >= 3
    assert dataset.column_names == ["text", "label"]
    with pytest.raises(ValueError, match="already has a column 'is_label_issue'; rem"):
        report.to_dataset(more)


def test_answers_come_back_from_any_rows_in_any_order(case):
    dataset, report, values = case
    more = report.to_dataset(dataset)
    answers = {1: values["ant"], 2: values["dog"], 7: values["cat"]}
    more = answered(more.shuffle(seed=1), "reviewed_label", answers)
    more = more.filter(lambda row: row["row"] != 7).with_format("numpy")
    decisions = read_decisions(more, report=report)
    names = report.frame["given_label"].astype(str)
    assert said(decisions) == [[1, "keep", ""], [2, "relabel", names[0]]]
    assert decisions["sample"].ne("").all()
    fixed = report.apply(dataset, "label", decisions=more, label_before=True)
    assert fixed.features["label"] == dataset.features["label"]
    assert fixed.column_names == ["text", "label", "sknoisy_label_before"]
    expected = list(dataset["label"])
    assert list(fixed["sknoisy_label_before"]) == expected
    expected[2] = values["dog"]
    assert list(fixed["label"]) == expected
    taken = dataset.add_column("sknoisy_label_before", [0] * 8)
    with pytest.raises(ValueError, match="already has a column 'sknoisy_label_before'"):
        report.apply(taken, "label", action="drop", label_before=True)


def test_labels_changed_in_place_are_answers_and_others_are_not(case):
    dataset, report, values = case
    more = answered(report.to_dataset(dataset), "label", {5: values["bee"]})
    found = read_decisions(more, report=report, column="label")
    assert said(found) == [[5, "relabel", str(report.frame["given_label"][3])]]


def test_missing_labels_are_no_answers():
    more = report_of(NAMES).to_dataset(class_label())
    more = answered(more, "reviewed_label", {1: -1, 2: None, 3: 3})
    assert said(read_decisions(more, report=report_of(NAMES))) == [[3, "keep", ""]]


def test_classes_named_by_digits_are_not_taken_for_codes():
    # str2int of such a ClassLabel takes names for codes.
    digits = ["3", "2", "1", "0"]
    dataset = class_label(digits)
    for labels in (digits, [0, 1, 2, 3]):
        report = report_of(labels)
        more = answered(report.to_dataset(dataset), "reviewed_label", {0: 3})
        found = read_decisions(more, report=report)
        assert said(found) == [[0, "relabel", str(labels[3])]]
        assert report.apply(dataset, "label", decisions=found)["label"][0] == 3


def test_excluded_rows_are_dropped():
    report = report_of(NAMES)
    fixed = report.apply(class_label(), "label", action="drop")
    assert list(fixed["text"]) == ["t0", "t3", "t4", "t6", "t7"]


def test_other_datasets_are_refused():
    report, dataset = report_of(NAMES), class_label()
    with pytest.raises(ValueError, match="no column 'kind'"):
        report.to_dataset(dataset, "kind")
    with pytest.raises(ValueError, match="the dataset has 3 rows, but 8 labels were"):
        report.apply(dataset.select([0, 1, 2]), "label", action="drop")
    other = dataset_of([0, 1, 2, -1] * 2, hf.ClassLabel(names=NAMES))
    with pytest.raises(ValueError, match=r"row 3 of the dataset has the label -1 \('N"):
        report.to_dataset(other)
    with pytest.raises(ValueError, match=r"row 0 of the dataset has the label 'x', b"):
        report.to_dataset(dataset_of(["x"] * 8))
    with pytest.raises(TypeError, match=r"dataset must be a datasets\.Dataset; got l"):
        report.to_dataset([1])
    with pytest.raises(TypeError, match=r"got a DatasetDict; pass one datasets\.Datas"):
        report.to_dataset(hf.DatasetDict(train=dataset))
    with pytest.raises(TypeError, match="got a IterableDataset; pass one"):
        report.apply(dataset.to_iterable_dataset(), "label", action="drop")


def test_decisions_need_the_columns_and_the_rows_of_the_report():
    report = report_of(NAMES)
    more = report.to_dataset(class_label())
    with pytest.raises(ValueError, match=r"decisions in a datasets\.Dataset need the"):
        read_decisions(more)
    with pytest.raises(ValueError, match="the dataset has no column 'row_sha256'; Lab"):
        read_decisions(more.remove_columns("row_sha256"), report=report)
    beyond = more.remove_columns("row").add_column("row", list(range(1, 9)))
    with pytest.raises(ValueError, match="rows up to 8, but the report has 8 rows, c"):
        read_decisions(beyond, report=report)
    changed = answered(more, "reviewed_label", {1: 1})
    changed = answered(changed, "row_sha256", {1: "0"})
    with pytest.raises(ValueError, match="row 1 of the data is not the row that was"):
        report.apply(decisions=changed)
