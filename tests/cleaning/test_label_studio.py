"""Exports of Label Studio, as its documentation and its converter have them."""

import json
import re

import pytest
from tool_files import ODD, report_of, row_of, said

from sknoisy.cleaning import read_decisions


def result(*choices, name="label"):
    value = {"choices": list(choices)}
    ends = {"from_name": name, "to_name": "text", "type": "choices"}
    return ends | {"value": value}


def annotation(*choices, at="2026-01-02T00:00:00.5Z", by=1, **more):
    found = [result(*choices)] if choices else []
    return {"completed_by": by, "updated_at": at, "result": found} | more


def read(*annotations, **options):
    task = {"id": 1, "data": row_of(text="x"), "annotations": list(annotations)}
    return [line[1:] for line in said(read_decisions([task], **options))]


KEEP, SPAM, UNSURE = ["keep", ""], ["relabel", "spam"], ["unsure", ""]


def test_the_last_annotation_of_a_person_counts():
    older = annotation("ham", at="2026-01-02T00:00:00Z", id=9)
    newer = annotation("spam", at="2026-01-02T01:30:00+01:00", id=1)
    assert read(older, newer) == read(newer, older) == [SPAM]
    person = {"id": 3, "email": "a@example.org"}
    assert read(annotation("spam", by=person), annotation("ham", by=person, id=2)) == [
        KEEP
    ]


def test_of_several_people_more_than_half_decide():
    ham, spam, eggs = (
        annotation(name, by=i) for i, name in enumerate(["ham", "spam", "eggs"])
    )
    assert read(ham, spam) == read(ham, spam, eggs) == [UNSURE]
    assert read(ham, spam, annotation("spam", by=7)) == [SPAM]
    assert read(annotation(by=8, was_cancelled=True), spam) == [SPAM]


def test_a_ground_truth_overrules_others():
    truth = annotation("ham", by=1, ground_truth=True, at="2020-01-01T00:00:00Z")
    others = [annotation("spam", by=i) for i in (1, 2, 3)]
    assert read(truth, *others) == [KEEP]
    skipped = annotation(by=9, ground_truth=True, was_cancelled=True)
    assert read(skipped, *others) == [SPAM]


def test_skipped_tasks_are_unsure_and_drafts_and_predictions_no_answers():
    assert read(annotation("spam", was_cancelled=True)) == [UNSURE]
    assert read(annotation()) == [UNSURE]
    draft = {"id": 5, "result": [result("spam")], "was_cancelled": False}
    prediction = {"model_version": "m", "score": 0.9, "result": [result("spam")]}
    for predictions in ([286], [prediction]):
        task = {"data": row_of(), "predictions": predictions, "drafts": [draft]}
        assert said(read_decisions([task | {"annotations": []}])) == []
        assert said(read_decisions([task])) == []


def test_a_row_has_one_label():
    with pytest.raises(ValueError, match="row 5 got 2 labels at once, 'ham', 'spam'"):
        read(annotation("ham", "spam"))
    with pytest.raises(ValueError, match="has ids instead of annotations"):
        read(11)


def test_other_controls_are_no_labels():
    other = result("urgent", name="priority")
    region = {"from_name": "box", "type": "rectanglelabels", "value": {"x": 1}}
    assert read(annotation(result=[region, other, result("spam")])) == [SPAM]
    both = annotation(result=[other, result("spam", name="kind")])
    assert read(both, column="kind") == [SPAM]
    assert read(annotation(result=[region, result("spam", name="kind")])) == [SPAM]
    with pytest.raises(ValueError, match="has choices of 'priority' and 'kind'; say"):
        read(both)


def flat(annotation_id=1, **more):
    return row_of(id=3, annotation_id=annotation_id, annotator=1, text="x", **more)


class TestJsonMin:
    def test_each_annotation_is_an_object(self):
        records = [
            flat(2, label="ham", updated_at="2026-02-01T00:00:00Z"),
            flat(1, label="spam", updated_at="2026-01-01T00:00:00Z"),
            # Not annotated, and annotated without a choice.
            row_of(6, id=4, annotation_id=None, annotator=None),
            flat(4) | {"row": 7},
        ]
        assert said(read_decisions(records)) == [[5, *KEEP], [7, *UNSURE]]
        records[1]["annotator"] = 2
        assert said(read_decisions(records)) == [[5, *UNSURE], [7, *UNSURE]]

    def test_several_choices_are_refused(self):
        with pytest.raises(ValueError, match="row 5 got 2 labels at once"):
            read_decisions([flat(label={"choices": ["a", "b"]})])

    def test_a_control_of_another_name_is_no_skipped_row(self):
        records = [flat(kind="spam")]
        with pytest.raises(ValueError, match="no annotation has the key 'label'; pass"):
            read_decisions(records)
        assert said(read_decisions(records, column="kind")) == [[5, *SPAM]]

    def test_csv_has_the_same_columns(self, tmp_path):
        path = tmp_path / "export.csv"
        path.write_text(
            '"annotation_id","annotator","given_label","id","label","row","row_sha256",'
            '"updated_at"\n'
            '2,"1","ham",0,"a, ""b""\n<c>",3,"5f0c","2026-02-01T00:00:00Z"\n'
            '"","","ham",3,"",1,"5f0c",""\n'
            '4,"1","ham",4,"",2,"5f0c","2026-02-01T00:00:00Z"\n'
        )
        expected = [[2, *UNSURE], [3, "relabel", 'a, "b"\n<c>']]
        assert said(read_decisions(path)) == expected
        text = path.read_text().replace("a, ", '{""choices"":[""a"",""b""]}, ')
        path.write_text(re.sub(r"\{.*\n<c>", '{""choices"":[""a"",""b""]}', text))
        with pytest.raises(ValueError, match="row 3 got 2 labels at once"):
            read_decisions(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\x01b", r"'a\\x01b' has a character that XML forbids"),
        # The editor would show the number of the row.
        ("a $row", r"'a \$row' has a '\$', after which Label Studio expects the name"),
    ],
)
def test_classes_that_cannot_be_shown_are_refused(tmp_path, name, message):
    report = report_of([name, "b", "c", "d"])
    with pytest.raises(ValueError, match=message):
        report.export(tmp_path / "tasks.json", "label-studio")
    assert not list(tmp_path.iterdir())


def test_their_own_package_accepts_tasks_and_config(tmp_path):
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    converter = pytest.importorskip("label_studio_sdk.converter.converter")
    path = report_of(ODD).export(tmp_path / "tasks.json", "label-studio", n_random=8)
    config = path.with_suffix(".xml")
    labels = interface.LabelInterface(config.read_text())
    labels.validate()
    assert sorted(*labels.labels) == sorted(ODD)
    tasks = json.loads(path.read_text())
    for number, task in enumerate(tasks):
        for prediction in task["predictions"]:
            assert labels.validate_prediction(prediction, return_errors=True) == []
        task["id"] = number
        chosen = result(ODD[number % 4]) | {"to_name": "columns"}
        task["annotations"] = [annotation(id=number, result=[chosen], lead_time=1.0)]
    path.write_text(json.dumps(tasks))
    convert = converter.Converter(str(config), project_dir=None)
    out = tmp_path / "out"
    convert.convert_to_json_min(str(path), str(out), is_dir=False)
    convert.convert_to_csv(str(path), str(out), is_dir=False, sep=",", header=True)
    expected = said(read_decisions(path))
    assert len(expected) == 8
    files = list(out.iterdir())
    assert sorted(file.suffix for file in files) == [".csv", ".json"]
    for file in files:
        assert said(read_decisions(file)) == expected
