"""Files are replaced in one step, or stay as they were."""

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

import pytest

from sknoisy import _regular_files
from sknoisy._regular_files import (
    check_replaceable,
    open_regular,
    written_in_one_step,
)

WRITE_AND_WAIT = """
import sys, time
from sknoisy._regular_files import written_in_one_step
with written_in_one_step(sys.argv[1]) as draft:
    draft.write_text("half of")
    print(draft, flush=True)
    time.sleep(60)
"""


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.csv.gz"
    path.write_text("old")
    return path


@pytest.fixture
def others(tmp_path):
    """What is no regular file, with a word that names it."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        words = {"fifo": "FIFO", "link": "FIFO", "null": "device", "socket": "socket"}
        yield {tmp_path / name: word for name, word in words.items()}


def test_the_draft_takes_the_place_when_all_is_written(path, tmp_path):
    with written_in_one_step(path) as draft:
        assert draft.parent == tmp_path and draft.suffixes[-2:] == [".csv", ".gz"]
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_an_error_leaves_all_as_it_was(error, path, tmp_path):
    with pytest.raises(error), written_in_one_step(path) as draft:
        draft.write_text("new")
        raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == [path.name]


def test_rights_are_those_of_the_old_file_from_the_start(path, tmp_path):
    for mode in (0o600, 0o640, 0o444):
        path.chmod(mode)
        with written_in_one_step(path) as draft:
            assert mode_of(draft) == 0o600
        assert mode_of(path) == mode
    before = os.umask(0o027)
    try:
        with written_in_one_step(tmp_path / "fresh"):
            pass
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "fresh") == 0o640


def test_a_link_stays_a_link(path, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(path.name)
    with written_in_one_step(link) as draft:
        draft.write_text("new")
    assert link.is_symlink() and path.read_text() == "new"


def test_what_is_no_file_is_neither_read_nor_replaced(others, tmp_path):
    for path, word in others.items():
        before = os.lstat(path)
        with pytest.raises(ValueError, match=f"path '.*' is a {word}; give a file"):
            with written_in_one_step(path):
                pass
        with pytest.raises(ValueError, match=f"table '.*' is a {word}; give a file"):
            check_replaceable(path, "table")
        with pytest.raises(ValueError, match=f"it is a {word}; give a file"):
            open_regular(path)
        assert os.path.samestat(os.lstat(path), before)
    with pytest.raises(ValueError, match="is a folder; give a file in it"):
        check_replaceable(tmp_path / "folder")
    with pytest.raises(ValueError, match="is a folder; give a file in it"):
        with written_in_one_step(tmp_path / "folder"):
            pass


def test_a_fifo_that_takes_the_place_of_a_file_is_not_waited_for(
    path, tmp_path, monkeypatch
):
    os.mkfifo(tmp_path / "fifo")
    looked = os.stat(path)
    monkeypatch.setattr(os, "stat", lambda path: looked)
    with pytest.raises(ValueError, match="it is a FIFO"):
        open_regular(tmp_path / "fifo")


def test_folders_that_are_not_there(tmp_path):
    path = tmp_path / "none" / "file"
    with pytest.raises(FileNotFoundError, match=r"No such file.*none/file"):
        with written_in_one_step(path):
            pass
    with pytest.raises(ValueError, match=r"there is no folder '.*none'\. Create it"):
        check_replaceable(path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"there is no folder '.*file'\. Create it"):
        check_replaceable(tmp_path / "file" / "file")


@pytest.mark.parametrize("has_links", [True, False])
def test_nothing_is_overwritten_unless_asked(has_links, path, tmp_path, monkeypatch):
    def fail(source, target):
        raise OSError("no links here")

    if not has_links:
        monkeypatch.setattr(os, "link", fail)
    with pytest.raises(FileExistsError, match=r"file\.csv\.gz"):
        with written_in_one_step(path, overwrite=False):
            pass
    other = tmp_path / "other"
    with written_in_one_step(other, overwrite=False) as draft:
        draft.write_text("new")
    assert other.read_text() == "new"
    late = tmp_path / "late"
    with pytest.raises(FileExistsError, match="late"):
        with written_in_one_step(late, overwrite=False):
            late.write_text("came meanwhile")
    assert late.read_text() == "came meanwhile"
    assert sorted(os.listdir(tmp_path)) == [path.name, "late", "other"]


def test_the_draft_of_a_killed_run_goes_and_that_of_a_live_one_stays(path, tmp_path):
    run = [sys.executable, "-c", WRITE_AND_WAIT, str(path)]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as process:
        draft = process.stdout.readline().strip()
        with written_in_one_step(path) as other:
            other.write_text("new")
        assert os.path.exists(draft)
        process.send_signal(signal.SIGKILL)
    assert os.path.exists(draft) and path.read_text() == "new"
    # Files of others, and of other names, are none of ours.
    kept = {".0123456789abcdef.part.other", ".x.part.file.csv.gz", path.name}
    for name in kept - {path.name}:
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / ".aaaaaaaaaaaaaaaa.part.file.csv.gz")
    with written_in_one_step(path):
        pass
    kept |= {".aaaaaaaaaaaaaaaa.part.file.csv.gz"}
    assert set(os.listdir(tmp_path)) == kept


def test_a_draft_that_is_taken_for_an_abandoned_one_is_made_again(path, monkeypatch):
    real, removed = _regular_files.fcntl.flock, []

    def flock(handle, how):
        if not removed:
            removed.extend(path.parent.glob(".*.part.*"))
            removed[0].unlink()
        real(handle, how)

    monkeypatch.setattr(_regular_files.fcntl, "flock", flock)
    with written_in_one_step(path) as draft:
        assert draft.exists() and draft != removed[0]


def test_without_locks_only_old_drafts_go(path, tmp_path, monkeypatch):
    monkeypatch.setattr(_regular_files, "fcntl", None)
    young, old = (tmp_path / f".{c * 16}.part.{path.name}" for c in "ab")
    young.touch()
    old.touch()
    os.utime(old, (time.time() - 10**6,) * 2)
    with written_in_one_step(path) as draft:
        draft.write_text("new")
    assert young.exists() and not old.exists() and path.read_text() == "new"


def test_threads_that_write_the_same_file(path, tmp_path):
    def write(text):
        for _ in range(10):
            with written_in_one_step(path) as draft:
                draft.write_text(text)

    threads = [threading.Thread(target=write, args=[c * 999]) for c in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in ("a" * 999, "b" * 999)
    assert os.listdir(tmp_path) == [path.name]


def test_long_names(tmp_path):
    path = tmp_path / ("x" * 250 + ".csv")
    with written_in_one_step(path) as draft:
        assert draft.suffix == ".csv"
        draft.write_text("new")
    assert path.read_text() == "new"


def test_file_and_folder_are_synced(path, monkeypatch):
    synced, fsync = [], os.fsync

    def note(handle):
        synced.append(os.fstat(handle).st_ino)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    with written_in_one_step(path):
        pass
    assert synced == [path.stat().st_ino, path.parent.stat().st_ino]


def test_a_file_is_opened(path):
    with open_regular(path) as file:
        assert file.read() == b"old"
    with pytest.raises(FileNotFoundError):
        open_regular(path.with_name("none"))
