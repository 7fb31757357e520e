"""Files of torch.save are read without running them: tensors to the bit, and refusal of whatever else they could be."""

import collections
import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.training.archives import TensorRecord, TorchArchive

STATE = {
    "weight": torch.arange(12.0).view(3, 4),
    "turned": torch.arange(6.0).view(2, 3).t(),
    "part": torch.arange(10)[3:7],
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "scalar": torch.tensor(3.0, dtype=torch.float64),
    "empty": torch.empty(0, 3),
}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Return a checkpoint with tensors of all kinds, as Lightning lays it out."""
    path = tmp_path / "a.ckpt"
    state = collections.OrderedDict(STATE)
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    parameter = torch.nn.Parameter(torch.ones(2))
    torch.save({"epoch": 3, "state_dict": state, "extra": [parameter, ("a", {"b": STATE["weight"]})]}, path)
    return path


def rewritten(path: Path, change: dict[str, Any], *, compression: int = zipfile.ZIP_STORED) -> Path:
    """Return a copy of an archive with entries replaced (by the end of their name), or left out when None."""
    copy = path.with_name("changed.ckpt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w", compression) as new:
        for name in old.namelist():
            data = next((value for end, value in change.items() if name.endswith(end)), old.read(name))
            if data is not None:
                new.writestr(name, data)
    return copy


def test_tensors_come_out_to_the_bit(checkpoint: Path) -> None:
    """Views, transposed, small and empty tensors, and parameters, are what torch itself reads."""
    archive = TorchArchive(checkpoint)
    assert archive.content["epoch"] == 3
    read = archive.tensors(archive.content["state_dict"])
    for name, tensor in torch.load(checkpoint, weights_only=True)["state_dict"].items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor)
        assert read[name].is_contiguous()
    parameter, (_, nested) = archive.content["extra"]
    assert isinstance(parameter, TensorRecord)
    assert torch.equal(archive.tensors({"p": nested["b"]})["p"], STATE["weight"])


class Evil:
    """Something whose unpickling runs a program."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.system, ("touch evil",))


def test_a_pickle_that_asks_for_more_is_refused_with_the_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of what was asked for stands in the error, and it is not run."""
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": STATE, "callbacks": Evil()}, "evil.ckpt")
    with pytest.raises(InputError, match=r"evil\.ckpt is refused: the pickle asks for posix\.system"):
        TorchArchive("evil.ckpt")
    assert not Path("evil").exists()


def test_names_can_be_allowed_and_stay_inert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its name allowed the file opens; still nothing is run."""
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": STATE, "callbacks": Evil()}, "evil.ckpt")
    archive = TorchArchive("evil.ckpt", allowed={"posix.system"})
    assert archive.content["callbacks"].arguments == ("touch evil",)
    assert not Path("evil").exists()


def test_every_truncated_file_is_refused(checkpoint: Path) -> None:
    """Wherever a download broke off, the error says damaged or cut short."""
    data = checkpoint.read_bytes()
    short = checkpoint.with_name("short.ckpt")
    for end in range(0, len(data), max(1, len(data) // 40)):
        short.write_bytes(data[:end])
        with pytest.raises(InputError, match=r"cut short|no checkpoint of torch"):
            TorchArchive(short)


def test_a_changed_byte_of_a_tensor_is_found(checkpoint: Path) -> None:
    """Checksums of the archive are checked when the numbers are read."""
    data = bytearray(checkpoint.read_bytes())
    place = bytes(data).index(STATE["weight"].numpy().tobytes())
    data[place + 6] ^= 1
    checkpoint.write_bytes(data)
    archive = TorchArchive(checkpoint)
    with pytest.raises(InputError, match="damaged or cut short"):
        archive.tensors(archive.content["state_dict"])


def test_zip_bombs_are_refused(checkpoint: Path) -> None:
    """A compressed entry, which torch never writes, is refused before it is unpacked."""
    bomb = rewritten(checkpoint, {"/data/0": b"\0" * 10_000_000}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(InputError, match="compressed entries"):
        TorchArchive(bomb)


def test_entries_that_claim_too_much_are_refused(checkpoint: Path) -> None:
    """A directory that says that an entry is larger than the file is not believed."""
    data = bytearray(checkpoint.read_bytes())
    with zipfile.ZipFile(checkpoint) as archive:
        size = next(entry.file_size for entry in archive.infolist() if entry.filename.endswith("/data/0"))
    directory = data.index(b"PK\x01\x02")
    while not bytes(data[directory + 46 :]).startswith(b"a/data/0"):
        directory = data.index(b"PK\x01\x02", directory + 1)
    assert int.from_bytes(data[directory + 24 : directory + 28], "little") == size
    for field in (20, 24):
        data[directory + field : directory + field + 4] = (1 << 30).to_bytes(4, "little")
    checkpoint.write_bytes(data)
    with pytest.raises(InputError, match=r"larger than the file|cut short"):
        TorchArchive(checkpoint)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data.pkl": None}, "no data.pkl"),
        ({"/data/0": None}, "damaged"),
        ({"/data/0": b"\0" * 4}, "do not fit its shape"),
        ({"byteorder": b"big"}, "big-endian"),
        ({"data.pkl": b"\0" * (1 << 24) + b"\0"}, "larger than 16 MiB"),
    ],
)
def test_archives_that_are_none_of_torch(checkpoint: Path, change: dict[str, Any], words: str) -> None:
    """What is missing or does not fit is named."""
    changed = rewritten(checkpoint, change)
    with pytest.raises(InputError, match=words):
        archive = TorchArchive(changed)
        archive.tensors(archive.content["state_dict"])


def test_a_tensor_may_not_be_larger_than_its_numbers(tmp_path: Path) -> None:
    """A few numbers repeated by a stride of zero cannot fill the memory; neither can an offset lead outside."""
    for tensor in (torch.ones(1).expand(1 << 40), torch.ones(4).expand(1 << 30, 4)):
        torch.save({"state_dict": {"huge": tensor}}, tmp_path / "huge.ckpt")
        archive = TorchArchive(tmp_path / "huge.ckpt")
        assert archive.content["state_dict"]["huge"].shape == tensor.shape
        with pytest.raises(InputError, match="'huge' do not fit"):
            archive.tensors(archive.content["state_dict"])


def test_files_of_other_kinds(tmp_path: Path) -> None:
    """The old format of torch, a missing file and a plain zip are told apart."""
    torch.save(STATE, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"no checkpoint of torch 1\.6"):
        TorchArchive(tmp_path / "old.pt")
    with pytest.raises(InputError, match="No such file"):
        TorchArchive(tmp_path / "absent.ckpt")
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(InputError, match=r"no data\.pkl"):
        TorchArchive(tmp_path / "plain.zip")


def test_deep_nesting_is_refused(checkpoint: Path) -> None:
    """A list in a list ten thousand times over ends in an error, not in an overflow."""
    deep = b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b"."
    with pytest.raises(InputError, match="nested too deeply"):
        TorchArchive(rewritten(checkpoint, {"data.pkl": deep}))


def test_a_tensor_that_is_none_is_refused(checkpoint: Path) -> None:
    """A record with a name instead of numbers, or outside of the archive, is damage."""
    rebuild = torch._utils._rebuild_tensor_v2

    class Fake:
        def __init__(self, *arguments: Any) -> None:
            self.arguments = arguments

        def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
            return (rebuild, self.arguments)

    for arguments in (("a", 0, (1,), (1,)), (), (None, -1, (1,), (1,))):
        buffer = io.BytesIO()
        pickle.dump({"state_dict": {"w": Fake(*arguments)}}, buffer, 2)
        with pytest.raises(InputError, match="a tensor that is none"):
            TorchArchive(rewritten(checkpoint, {"data.pkl": buffer.getvalue()}))
