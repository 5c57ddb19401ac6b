import json
import xml.etree.ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from tool_files import ANSWERS, ODD, SCORES, expected_of, report_of, row_of, said

from sknoisy.cleaning import read_decisions
from sknoisy.cleaning._exchange import EXPORTS

STRINGS, NUMBERS = ["ant", "bee", "cat", "dog"], [10, 2, 3, 1]


def answer_label_studio(path, classes):
    tasks = json.loads(path.read_text())
    for number, task in enumerate(tasks):
        # Exports keep ids of predictions only.
        task |= {"id": number + 1, "predictions": [286], "drafts": []}
        task["annotations"] = []
        if task["data"]["row"] in ANSWERS:
            code = ANSWERS[task["data"]["row"]]
            choices = {"choices": [str(classes[code or 0])]}
            result = {"from_name": "label", "to_name": "columns", "type": "choices"}
            annotation = {
                "id": 40 + number,
                "completed_by": 1,
                "was_cancelled": code is None,
                "ground_truth": False,
                "created_at": "2026-01-01T00:00:00.000001Z",
                "updated_at": "2026-01-01T00:00:00Z",
                "lead_time": 3.2,
                "result": [result | {"value": choices}],
            }
            task["annotations"].append(annotation)
    return json.dumps(tasks, ensure_ascii=False)


def answer_argilla(path, classes):
    flat = []
    for record in json.loads(path.read_text()):
        fields, metadata = record.pop("fields"), record.pop("metadata")
        for name in ("suggestions", "responses", "vectors"):
            record.pop(name)
        record |= {"status": "pending", "_server_id": None, **fields, **metadata}
        code = ANSWERS.get(record["row"], 0)
        status = "discarded" if code is None else "submitted"
        if record["row"] not in ANSWERS:
            status = "draft"
        record["label.responses"] = [str(classes[code or 0])]
        record["label.responses.users"] = ["5f0c1d0e-9a0e-4a53-8d5b-0e6f0c2b1a11"]
        record["label.responses.status"] = [status]
        flat.append(record)
    return json.dumps(flat, ensure_ascii=False)


def answer_prodigy(path, classes):
    lines = []
    for line in path.read_text().splitlines():
        task = json.loads(line)
        if task["row"] in ANSWERS:
            code = ANSWERS[task["row"]]
            task["answer"] = "ignore" if code is None else "accept"
            task |= {"_input_hash": 1, "_task_hash": 2, "_session_id": "a"}
            if code is not None:
                task["accept"] = [str(classes[code])]
        lines.append(json.dumps(task, ensure_ascii=False) + "\n")
    return "".join(lines)


def answer_doccano(path, classes):
    lines = []
    for number, line in enumerate(path.read_text().splitlines()):
        record = {"id": number + 7} | json.loads(line)
        # Else a label that nobody looked at would seem to be kept.
        assert record["label"] == []
        code = ANSWERS.get(record["row"])
        record["label"] = [] if code is None else [str(classes[code])]
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    return "".join(lines)


def answer_csv(path, classes):
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    for place, id_ in enumerate(frame["id"]):
        code = ANSWERS.get(int(id_.partition("-")[0]))
        frame.loc[place, "label"] = "" if code is None else str(classes[code])
    return frame.to_csv(index=False)


ANSWER = {
    "label-studio": answer_label_studio,
    "argilla": answer_argilla,
    "prodigy": answer_prodigy,
    "doccano": answer_doccano,
    "csv": answer_csv,
}


@pytest.mark.parametrize("tool", EXPORTS)
@pytest.mark.parametrize("classes", [STRINGS, NUMBERS, ODD], ids=["str", "int", "odd"])
def test_rows_go_out_and_decisions_come_back(tmp_path, tool, classes):
    report = report_of(classes)
    path = report.export(tmp_path / f"rows{EXPORTS[tool][0]}", tool, n_random=8)
    path.write_text(ANSWER[tool](path, classes), encoding="utf-8")
    decisions = read_decisions(path)
    expected = expected_of(report, classes)
    if tool in ("doccano", "csv"):
        # They cannot say that a row was skipped.
        expected = [line for line in expected if line[1] != "unsure"]
    assert said(decisions) == expected
    assert said(read_decisions(path, tool=tool, report=report)) == expected
    # They are decisions as the page writes them.
    sample = report.sample_for_review(11, share_random=8 / 11).set_index("row")
    sample = sample.loc[decisions["row"]]
    assert decisions["sample"].tolist() == sample["sample"].tolist()
    np.testing.assert_allclose(
        decisions["sample_probability"], sample["sample_probability"]
    )
    fixed = report.apply(decisions=path, label_before=True)
    before = report.frame["given_label"].tolist()
    assert fixed["sknoisy_label_before"].tolist() == before
    codes = [
        ANSWERS[row] if ANSWERS.get(row) is not None else row % 4 for row in range(8)
    ]
    assert fixed.iloc[:, -2].tolist() == [classes[code] for code in codes]


@pytest.mark.parametrize("tool", EXPORTS)
def test_a_table_that_changed_is_refused_and_the_row_named(tmp_path, tool):
    path = report_of(STRINGS).export(
        tmp_path / f"rows{EXPORTS[tool][0]}", tool, n_random=8
    )
    path.write_text(ANSWER[tool](path, STRINGS), encoding="utf-8")
    X = pd.DataFrame({"size": SCORES, "id": ["=x", None, "a,b", 'q"'] * 2})
    X.loc[3, "id"] = "other"
    with pytest.raises(ValueError, match="row 3 of the data is not the row that was"):
        report_of(STRINGS, X).apply(decisions=path)


def test_skipped_rows_may_be_excluded(tmp_path):
    report = report_of(STRINGS)
    path = report.export(tmp_path / "tasks.json", "label-studio", n_random=8)
    path.write_text(answer_label_studio(path, STRINGS))
    decisions = read_decisions(path, skipped="exclude")
    assert said(decisions)[0] == [0, "exclude", ""]
    with pytest.raises(ValueError, match="skipped must be 'keep', 'exclude', 'unsure'"):
        read_decisions(path, skipped="relabel")


def test_contents_are_columns_texts_or_images(tmp_path):
    def data(X):
        report = report_of(STRINGS, X)
        path = tmp_path / "tasks.json"
        report.export(path, "label-studio", n_random=0, overwrite=True)
        config = ET.parse(path.with_suffix(".xml")).getroot()
        shown = config[0]
        assert shown.attrib["value"] == "$" + shown.attrib["name"]
        assert config[1].attrib["toName"] == shown.attrib["name"]
        first = json.loads(path.read_text())[0]
        assert first["data"]["row"] == 1
        return shown.tag, first["data"][shown.attrib["name"]]

    frame = pd.DataFrame({"a": SCORES, "b": [np.nan] * 8, "c": pd.Timestamp(0)})
    shown = {"a": 0.95, "b": None, "c": "1970-01-01 00:00:00"}
    assert data(frame) == ("Table", shown)
    assert data(pd.DataFrame({"comment": list("abcdefgh")})) == ("Text", "b")
    matrix = np.column_stack([SCORES, np.full(8, np.inf)])
    assert data(matrix) == ("Table", {"feature 0": 0.95, "feature 1": "inf"})
    report = report_of(STRINGS)
    texts = [f"t{i}" for i in range(8)]
    path = report.export(tmp_path / "t.jsonl", "doccano", X=texts, n_random=0)
    assert json.loads(path.read_text().splitlines()[0])["text"] == "t1"
    pixels = np.zeros((8, 3, 4, 4), dtype=np.uint8)
    path = report.export(tmp_path / "t.json", "argilla", X=pixels, n_random=0)
    image = json.loads(path.read_text())[0]["fields"]["image"]
    assert image.startswith("data:image/png;base64,")
    with pytest.raises(
        ValueError, match="doccano reads images from files of their own"
    ):
        report.export(tmp_path / "x.jsonl", "doccano", X=pixels)


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path):
    report = report_of(STRINGS)
    config = tmp_path / "tasks.xml"
    config.write_text("mine")
    with pytest.raises(
        FileExistsError, match=r"tasks\.xml exists already; pass overwr"
    ):
        report.export(tmp_path / "tasks.json", "label-studio")
    assert config.read_text() == "mine" and not (tmp_path / "tasks.json").exists()
    report.export(tmp_path / "tasks.json", "label-studio", overwrite=True)
    assert config.read_text().startswith("<View>")


@pytest.mark.parametrize(
    ("name", "tool", "options", "message"),
    [
        ("a.json", "labelbox", {}, "tool must be one of 'label-studio', 'argilla', "),
        (
            "a.csv",
            "argilla",
            {},
            r"the file for argilla must end in \.json; got 'a\.cs",
        ),
        ("a.csv", "csv", {"max_rows": -1}, "max_rows == -1, must be >= 0"),
        ("a.csv", "csv", {"n_random": -1}, "n_random == -1, must be >= 0"),
        ("a.csv", "csv", {"X": [1, 2]}, "inconsistent numbers of samples"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, name, tool, options, message):
    with pytest.raises(ValueError, match=message):
        report_of(STRINGS).export(tmp_path / name, tool, **options)
    assert not list(tmp_path.iterdir())


def test_an_unknown_tool_of_decisions_is_refused():
    with pytest.raises(ValueError, match="tool must be 'sknoisy', 'label-studio', "):
        read_decisions([], tool="labelbox")


@pytest.mark.parametrize("missing", ["row", "row_sha256", "given_label"])
def test_a_task_that_does_not_say_its_row_is_refused(missing):
    task = row_of(answer="accept", accept=["ham"])
    del task[missing]
    with pytest.raises(ValueError, match=f"record 1 has no '{missing}' in its keys"):
        read_decisions([task])


def test_two_tasks_of_one_row_must_be_the_same():
    tasks = [row_of(answer="accept", accept=["ham"], audit_id=i) for i in ("a", "b")]
    with pytest.raises(ValueError, match="about row 5 that differ in 'audit_id': they"):
        read_decisions(tasks)


def test_a_record_of_another_form_is_refused():
    task = {"data": row_of(), "annotations": [{"result": [{"type": "choices"}]}]}
    with pytest.raises(ValueError, match="this is no export of label-studio: KeyErro"):
        read_decisions([task])
