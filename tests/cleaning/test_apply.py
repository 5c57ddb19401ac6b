import numpy as np
import pandas as pd
import polars as pl
import pytest
from known_detector import KnownDetector

from sknoisy import label_report

SCORES = np.array([0.1, 0.95, 0.6, 0.25, 0.0, 0.7])
LABELS = ["ant", "bee", "ant", "bee", "cat", "ant"]
# Flagged are rows 1, 2 and 5.
SUGGESTED = ["ant", "cat", "bee", "bee", "cat", "bee"]
X = pd.DataFrame({"a": SCORES, "b": range(6)}, index=[9, 8, 7, 6, 5, 5])


def report_of(X=X, y=LABELS):
    return label_report(KnownDetector(SCORES), X, y)


def decisions_of(report, **by_row):
    """Return decisions by row, such as row_3=("relabel", "bee")."""
    rows = [int(name.removeprefix("row_")) for name in by_row]
    sums = report.row_checksums(np.array(rows, dtype=np.int64))
    given = report.frame["given_label"].to_numpy()
    return [
        {
            "row": row,
            "row_sha256": sha,
            "given_label": str(given[row]),
            "decision": kind,
            "new_label": "".join(new),
        }
        for row, sha, (kind, *new) in zip(rows, sums, by_row.values(), strict=True)
    ]


def test_decisions_change_what_they_say_and_nothing_else():
    report = report_of()
    decisions = decisions_of(
        report,
        row_1=("relabel", "ant"),
        row_2=("keep",),
        row_4=("exclude",),
        row_5=("unsure",),
    )
    fixed = report.apply(decisions=decisions, label_before=True)
    kept = [0, 1, 2, 3, 5]
    expected = X.iloc[kept].assign(
        label=["ant", "ant", "ant", "bee", "ant"],
        sknoisy_label_before=np.array(LABELS)[kept],
    )
    pd.testing.assert_frame_equal(fixed, expected, check_dtype=False)
    assert list(X) == ["a", "b"] and report.frame["given_label"].tolist() == LABELS


@pytest.mark.parametrize(
    ("action", "above", "rows", "labels"),
    [
        ("drop", None, [0, 3, 4], ["ant", "bee", "cat"]),
        ("drop", 0.7, [0, 2, 3, 4, 5], ["ant", "ant", "bee", "cat", "ant"]),
        ("relabel", None, range(6), SUGGESTED),
        ("relabel", 0.65, range(6), ["ant", "cat", "ant", "bee", "cat", "bee"]),
    ],
)
def test_actions_change_flagged_rows_above_a_score(action, above, rows, labels):
    fixed = report_of().apply(action=action, above=above)
    assert fixed["b"].tolist() == list(rows)
    assert fixed["label"].tolist() == labels


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(LABELS, dtype="category", name="kind"),
        pd.Series(LABELS, dtype="string", name="kind"),
        pd.Series([0, 1, 0, 1, 2, 0], dtype="int8", name="kind"),
        pd.Series([0, 1, 0, 1, 2, 0], dtype="Int64", name="kind"),
        pd.Series([True, False] * 3, name="kind"),
        pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"] * 3), name="kind"),
    ],
    ids=lambda y: str(y.dtype),
)
def test_the_kind_of_the_labels_is_kept(y):
    table = X.assign(kind=y.array, last=1)[["kind", "a", "b", "last"]]
    report = report_of(X, table["kind"])
    fixed = report.apply(table, "kind", action="relabel")
    assert fixed["kind"].dtype == y.dtype and list(fixed) == list(table)
    suggested = report.frame["suggested_label"]
    assert fixed["kind"].astype(object).tolist() == suggested.astype(object).tolist()
    own = report.apply(action="relabel")
    assert own["kind"].dtype == y.dtype and list(own) == ["a", "b", "kind"]
    target = str(report.frame["given_label"].to_numpy()[1])
    by_hand = decisions_of(report, row_0=("relabel", target))
    fixed = report.apply(table, "kind", decisions=by_hand)
    assert fixed["kind"].iloc[0] == table["kind"].iloc[1]
    assert (fixed["kind"].iloc[1:] == table["kind"].iloc[1:]).all()


def test_polars_stays_polars():
    frame = pl.DataFrame({"a": SCORES, "b": range(6)})
    report = report_of(frame, pl.Series("kind", LABELS, dtype=pl.Categorical))
    fixed = report.apply(action="relabel")
    assert isinstance(fixed, pl.DataFrame) and fixed["kind"].to_list() == SUGGESTED
    table = frame.with_columns(pl.Series("kind", LABELS, dtype=pl.Categorical))
    decisions = decisions_of(report, row_1=("relabel", "ant"), row_0=("exclude",))
    fixed = report.apply(table, "kind", decisions=decisions, label_before=True)
    assert fixed.schema["kind"] == pl.Categorical
    assert fixed["kind"].to_list() == ["ant", "ant", "bee", "cat", "ant"]
    assert fixed.columns == ["a", "b", "kind", "sknoisy_label_before"]
    assert fixed["sknoisy_label_before"].to_list() == LABELS[1:]


@pytest.mark.parametrize("rows", [np.column_stack([SCORES, SCORES]), None, ["t"] * 6])
def test_without_a_frame_the_labels_come_with_their_rows(rows):
    detector = KnownDetector(SCORES).fit(X, LABELS)
    report = label_report(detector, rows, LABELS)
    fixed = report.apply(action="drop")
    assert fixed.index.tolist() == [0, 3, 4]
    assert fixed["label"].tolist() == ["ant", "bee", "cat"] and fixed.shape[1] == 1


def test_a_new_class_must_be_allowed():
    report = report_of(X, pd.Series(LABELS, dtype="category"))
    decisions = decisions_of(report, row_0=("relabel", "wasp"))
    message = "new label of row 0 is 'wasp', which the table does not have; it has 'ant"
    with pytest.raises(ValueError, match=message):
        report.apply(decisions=decisions)
    fixed = report.apply(decisions=decisions, allow_new_labels=True)
    assert fixed["label"].tolist() == ["wasp", *LABELS[1:]]
    assert fixed["label"].dtype == "category"
    numbers = report_of(X, [0, 1, 0, 1, 2, 0])
    decisions = decisions_of(numbers, row_0=("relabel", "7"))
    with pytest.raises(ValueError, match="a new class needs labels that are strings"):
        numbers.apply(decisions=decisions, allow_new_labels=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "pass either decisions or action"),
        ({"decisions": [], "action": "drop"}, "pass either decisions or action"),
        ({"action": "soften"}, "action must be 'drop' or 'relabel'; got 'soften'"),
        ({"decisions": [], "above": 0.5}, "above is for action"),
        ({"table": X, "action": "drop"}, "pass both table and label"),
        ({"table": X, "label": "c", "action": "drop"}, "the table has no column 'c'"),
        (
            {"table": X[:5], "label": "b", "action": "drop"},
            "the table has 5 rows, but 6 labels were scored",
        ),
        (
            {"table": X.assign(y=SUGGESTED), "label": "y", "action": "drop"},
            "row 1 of the table has the label 'cat', but 'bee' was scored",
        ),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        report_of().apply(**arguments)


def test_names_that_are_taken_are_refused():
    with pytest.raises(ValueError, match="X has a column 'a', so the labels need"):
        report_of(X, pd.Series(LABELS, name="a")).apply(action="drop")
    taken = report_of(X.assign(sknoisy_label_before=1))
    with pytest.raises(ValueError, match="already has a column 'sknoisy_label_before'"):
        taken.apply(action="drop", label_before=True)


def test_decisions_about_other_data_are_refused():
    decisions = decisions_of(report_of(), row_3=("exclude",))
    other = report_of(X.assign(b=[0, 1, 2, 33, 4, 5]))
    with pytest.raises(ValueError, match="row 3 of the data is not the row that was"):
        other.apply(decisions=decisions)
