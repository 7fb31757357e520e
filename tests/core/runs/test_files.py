"""Files and folders that are whole or absent."""

import hashlib
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from helicell.core.runs.files import atomic_folder, atomic_write, is_partial, remove_partial, sha256, write_json


def names(folder):
    """Return the names of what lies in a folder."""
    return sorted(file.name for file in folder.iterdir())


def test_a_failed_write_leaves_what_was_there(tmp_path):
    """The old file survives an error in the middle of writing the new one, and nothing is left beside it."""
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(target) as temporary:
        temporary.write_text("half of the n")
        message = "disk full"
        raise RuntimeError(message)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]


def test_a_good_write_replaces_and_makes_folders(tmp_path):
    """The parent folder is made, an earlier file is replaced, and nothing else remains."""
    target = tmp_path / "deep" / "x.npz"
    for value in (1, 2):
        with atomic_write(target) as temporary:
            assert temporary.suffix == ".npz"
            np.savez(temporary, value=value)
    assert np.load(target)["value"] == 2
    assert names(target.parent) == ["x.npz"]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_nothing(tmp_path):
    """Forgetting to write does not pass for success."""
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "x"):
        pass
    assert names(tmp_path) == []


def test_a_folder_is_whole_or_absent(tmp_path):
    """A folder appears under its name only when the block has ended well."""
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "store") as temporary:
        (temporary / "part").write_text("1")
        raise KeyboardInterrupt
    assert names(tmp_path) == []
    with atomic_folder(tmp_path / "store") as temporary:
        (temporary / "part").write_text("1")
        assert not (tmp_path / "store").exists()
    assert names(tmp_path / "store") == ["part"]


def test_a_folder_never_replaces_a_filled_one(tmp_path):
    """Results that are there stay there."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "old").touch()
    with pytest.raises(OSError, match="not empty"), atomic_folder(tmp_path / "store") as temporary:
        (temporary / "new").touch()
    assert names(tmp_path) == ["store"]
    assert names(tmp_path / "store") == ["old"]


def test_what_a_killed_process_leaves_is_recognised_and_removed(tmp_path):
    """A process killed while it writes leaves the target absent and a file that `remove_partial` finds."""
    code = (
        "import sys, time\n"
        "from helicell.core.runs.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "x.cif")])
    deadline = time.monotonic() + 30
    while not names(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert [is_partial(file) for file in tmp_path.iterdir()] == [True]
    (tmp_path / "kept.cif").touch()
    remove_partial(tmp_path)
    assert names(tmp_path) == ["kept.cif"]


def test_json_refuses_what_other_programs_cannot_read(tmp_path):
    """NaN is no JSON, and a refused value leaves nothing behind."""
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"loss": float("nan")})
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [0, 3, (1 << 20) + 1])
def test_sha256_equals_that_of_the_whole(tmp_path, size):
    """Reading in pieces changes nothing, also at the size of a piece."""
    content = os.urandom(size)
    (tmp_path / "x").write_bytes(content)
    assert sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()
