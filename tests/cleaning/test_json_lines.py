"""JSONL of Prodigy and of doccano."""

import json

import pytest
from tool_files import row_of, said

from sknoisy.cleaning import read_decisions

KEEP, SPAM, UNSURE = ["keep", ""], ["relabel", "spam"], ["unsure", ""]


def read(*records, **options):
    return [line[1:] for line in said(read_decisions(list(records), **options))]


def choice(answer, *accept, **more):
    options = [{"id": name, "text": name} for name in ("ham", "spam")]
    task = row_of(text="x", options=options, accept=list(accept), _task_hash=-3)
    return task | ({"answer": answer} if answer else {}) | more


class TestProdigy:
    def test_the_label_is_in_accept(self):
        assert read(choice("accept", "spam")) == [SPAM]
        assert read(choice("accept", "ham")) == [KEEP]
        assert read(choice("accept")) == [UNSURE]
        # Chosen beforehand, but nobody answered.
        assert read(choice(None, "spam")) == []

    def test_a_rejection_is_about_the_question(self):
        assert read(choice("reject", "spam")) == read(choice("ignore", "spam"))
        assert read(choice("ignore", "spam")) == [UNSURE]

    def test_a_rejected_label_does_not_say_which_is_right(self):
        binary = row_of(text="x", label="spam", answer="accept")
        assert read(binary) == [SPAM]
        with pytest.raises(
            ValueError, match="row 5 the label 'spam' was rejected, but"
        ):
            read(binary | {"answer": "reject"})

    def test_sessions_are_people(self):
        first = choice("accept", "ham", _session_id="a", _timestamp=1)
        later = choice("accept", "spam", _session_id="a", _timestamp=2)
        other = choice("accept", "spam", _session_id="b", _timestamp=1)
        assert read(first, later) == read(later, first) == [SPAM]
        assert read(first, other) == [UNSURE]

    def test_rows_with_equal_texts_are_told_apart(self):
        tasks = [choice("accept", "ham", _input_hash=1) | {"row": i} for i in (1, 2)]
        assert said(read_decisions(tasks)) == [[1, *KEEP], [2, *KEEP]]

    def test_what_is_wrong_is_said(self):
        with pytest.raises(ValueError, match="row 5 got 2 labels at once"):
            read(choice("accept", "ham", "spam"))
        with pytest.raises(ValueError, match="row 5 has the answer 'yes'; it must be"):
            read(choice("yes"))


class TestDoccano:
    def record(self, *labels, **more):
        return row_of(id=7, text="x", label=list(labels)) | more

    def test_a_label_is_an_answer_and_none_is_none(self):
        assert read(self.record("spam")) == [SPAM]
        assert read(self.record("ham"), self.record() | {"row": 6}) == [KEEP]
        assert read(self.record("C#")) == [["relabel", "C#"]]
        renamed = row_of(cat=["spam"])
        assert read(renamed, tool="doccano", column="cat") == [SPAM]

    def test_ids_of_labels_are_refused(self):
        with pytest.raises(
            ValueError, match=r"row 5 has ids of labels, \[3\], not their"
        ):
            read(self.record(3))

    def test_csv_is_refused(self):
        with pytest.raises(ValueError, match="CSV joins labels by '#'"):
            read(row_of(label="C#"), tool="doccano")

    def test_a_row_has_one_label(self):
        with pytest.raises(ValueError, match="row 5 got 2 labels at once"):
            read(self.record("ham", "spam"))


def test_a_line_ends_only_at_a_line_feed(tmp_path):
    path = tmp_path / "answers.jsonl"
    line = json.dumps(row_of(text="a\u2028b", label=["spam"]), ensure_ascii=False)
    path.write_text(f"{line}\r\n\n", encoding="utf-8-sig", newline="")
    assert said(read_decisions(path)) == [[5, *SPAM]]
    path.write_text("{\n")
    with pytest.raises(ValueError, match="is not valid JSON"):
        read_decisions(path)
