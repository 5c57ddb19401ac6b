"""Records of Argilla 2, as its package writes them."""

import json
import re

import pandas as pd
import pytest
from tool_files import ODD, report_of, row_of, said

from sknoisy.cleaning import read_decisions

USERS = [f"5f0c1d0e-9a0e-4a53-8d5b-0e6f0c2b1a1{i}" for i in range(3)]


def flat(*answers, question="label", **more):
    """Return a flat record with answers: pairs of a value and a status."""
    record = row_of(id="5-5f0c", status="completed", _server_id=None, text="x")
    record |= {"label.suggestion": "spam", "label.suggestion.score": 0.9}
    key = f"{question}.responses"
    values, statuses = [a[0] for a in answers], [a[1] for a in answers]
    users = USERS[: len(answers)]
    return record | {key: values, f"{key}.users": users, f"{key}.status": statuses}


def read(*answers, **options):
    return [line[1:] for line in said(read_decisions([flat(*answers)], **options))]


KEEP, SPAM, UNSURE = ["keep", ""], ["relabel", "spam"], ["unsure", ""]


def test_submitted_answers_count_discarded_ones_are_unsure_drafts_are_none():
    assert read(("ham", "submitted")) == [KEEP]
    assert read(("spam", "submitted")) == [SPAM]
    assert read(("spam", "discarded")) == read((None, "discarded")) == [UNSURE]
    assert read(("spam", "draft")) == []
    assert read(("spam", "draft"), ("ham", "discarded"), ("ham", "submitted")) == [KEEP]


def test_no_consensus_is_made_up():
    assert read(("ham", "submitted"), ("spam", "submitted")) == [UNSURE]
    spam = "spam", "submitted"
    assert read(("ham", "submitted"), spam, spam) == [SPAM]


def test_records_without_an_answer_have_no_decision():
    # The status of a record is not the answer of a person.
    record = flat()
    assert said(read_decisions([record])) == []
    # Records without responses are filled up with null.
    record = dict.fromkeys(flat(("ham", "draft"))) | row_of(6)
    assert said(read_decisions([record, flat(("ham", "submitted"))])) == [[5, *KEEP]]


def nested(*answers):
    responses = [{"value": v, "user_id": USERS[0]} | more for v, more in answers]
    return {
        "id": "5-5f0c",
        "fields": {"text": "x"},
        "metadata": row_of(),
        "suggestions": {"label": {"value": "spam", "score": 0.9, "agent": "sknoisy"}},
        "responses": {"label": responses} if responses else {},
        "vectors": {},
        "status": "pending",
        "_server_id": None,
    }


def test_nested_records_lack_the_status_and_a_warning_says_so():
    with pytest.warns(UserWarning, match=r"1 answer\(s\) have no status: to_json of"):
        found = said(read_decisions([nested(("spam", {})), nested()]))
    assert found == [[5, *SPAM]]
    known = nested(("spam", {"status": "discarded"}))
    assert said(read_decisions([known])) == [[5, *UNSURE]]


def test_questions_are_named():
    record = flat(("a", "submitted"), question="topic")
    assert said(read_decisions([record])) == [[5, "relabel", "a"]]
    two = flat(("b", "submitted"), question="tone") | record
    with pytest.raises(ValueError, match="answers to 'tone' and 'topic'; say which"):
        read_decisions([two])
    assert said(read_decisions([two], column="tone")) == [[5, "relabel", "b"]]
    with pytest.raises(ValueError, match="row 5 got 2 labels at once"):
        read((["a", "b"], "submitted"))


def test_csv_has_lists_as_texts(tmp_path):
    path = tmp_path / "records.csv"
    record = flat(('it\'s, "x"\ny', "submitted"), ("ham", "draft"))
    pd.DataFrame([record, flat() | {"row": 6}]).to_csv(path, index=False)
    expected = [[5, "relabel", 'it\'s, "x"\ny']]
    assert said(read_decisions(path)) == expected
    # As an array prints them, without commas.
    text = path.read_text()
    path.write_text(text.replace("', 'draft", "' 'draft"))
    with pytest.raises(ValueError, match="has 2 answers, of 2 users, with 1 statuses"):
        read_decisions(path)
    path.write_text(re.sub(r"\['submitted.*\]", "[submitted", text))
    with pytest.raises(ValueError, match="is no list of answers; write the records as"):
        read_decisions(path)
    with pytest.raises(ValueError, match="row 5 has an answer with the status 'x'; it"):
        read(("ham", "x"))


def test_their_own_package_reads_and_writes_the_records(tmp_path):
    rg = pytest.importorskip("argilla")
    io = pytest.importorskip("argilla.records._io")
    report = report_of(ODD)
    path = report.export(tmp_path / "records.json", "argilla", n_random=8)
    records = io.JsonIO._records_from_json(path)
    assert len({record.id for record in records}) == len(records) == 8
    for record, status in zip(
        records, ["submitted", "discarded", "draft"], strict=False
    ):
        response = rg.Response("label", ODD[3], user_id=USERS[0], status=status)
        record.responses.add(response)
    # As dataset.records.to_list(flatten=True) writes them.
    flat_records = io.GenericIO.to_list(records, flatten=True)
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps(flat_records))
    rows = [record.metadata["row"] for record in records[:2]]
    is_kept = rows[0] % 4 == 3
    expected = [
        [rows[0], *(KEEP if is_kept else ["relabel", ODD[3]])],
        [rows[1], *UNSURE],
    ]
    assert said(read_decisions(answers, report=report)) == sorted(expected)
    io.JsonIO.to_json(records, tmp_path / "nested.json")
    with pytest.warns(UserWarning, match=r"3 answer\(s\) have no status"):
        assert len(read_decisions(tmp_path / "nested.json")) == 3
