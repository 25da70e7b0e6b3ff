"""A model in one file: what comes back, and why another file is refused."""

from __future__ import annotations

import dataclasses
import io
import os
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from simplellm import InputEmbedding, SimpleLLM
from simplellm.vocabulary import PAD
from tests.small_models import every_scheme, model, prompt

# -- what comes back -------------------------------------------------------------------------------


@every_scheme
def test_save_and_load_give_the_same_logits(position: str, tmp_path: Path) -> None:
    for dtype in (torch.float32, torch.float64):
        module = model(position, padding_idx=PAD, tie_weights=False).to(dtype)
        module.save(tmp_path / "model.pt")
        loaded = SimpleLLM.load(tmp_path / "model.pt").eval()
        assert loaded.config == module.config
        assert torch.equal(loaded(prompt(2, 5)), module(prompt(2, 5)))
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_a_file_without_a_version_loads_with_any_wrappers_prefix(
    prefix: str, tmp_path: Path
) -> None:
    content = a_checkpoint()
    content["state_dict"] = {prefix + n: v for n, v in content["state_dict"].items()}
    torch.save(content, tmp_path / "model.pt")
    assert torch.equal(
        SimpleLLM.load(tmp_path / "model.pt").eval()(prompt(1, 4)), model()(prompt(1, 4))
    )


def test_mixed_dtypes_come_back_as_they_were_saved(tmp_path: Path) -> None:
    module = model()
    module.blocks[0].to(torch.bfloat16)
    module.save(tmp_path / "model.pt")
    loaded = SimpleLLM.load(tmp_path / "model.pt").state_dict()
    assert {n: v.dtype for n, v in loaded.items()} == {
        n: v.dtype for n, v in module.state_dict().items()
    }


def test_numbers_of_any_type_save_and_load(tmp_path: Path) -> None:
    module = model(d_model=np.int8(32), init_std=np.float32(0.5), dropout=Fraction(1, 4))
    module.save(tmp_path / "model.pt")
    loaded = SimpleLLM.load(tmp_path / "model.pt").config
    assert loaded == module.config and type(loaded.d_model) is int and loaded.dropout == 0.25


def test_a_model_whose_tables_have_grown_is_saved_as_it_is(tmp_path: Path) -> None:
    module, ids = model("learned", padding_idx=0).float(), prompt(1, 20)
    layer = module.input_embedding
    assert isinstance(layer, InputEmbedding)
    layer.pos_embedding.embedding.weight = nn.Parameter(torch.randn(24, 32))
    layer.token_embedding.embedding.weight = nn.Parameter(torch.randn(50, 32))
    with torch.no_grad():
        layer.token_embedding.embedding.weight[0] = 0.0
    module.save(tmp_path / "model.pt")
    loaded = SimpleLLM.load(tmp_path / "model.pt").eval()
    assert torch.equal(loaded(ids + 10), module(ids + 10))
    assert (loaded.config.vocab_size, loaded.config.max_seq_len) == (50, 24)


@pytest.mark.filterwarnings("ignore:.*no-op")
def test_a_model_is_loaded_to_the_device_asked_for(tmp_path: Path) -> None:
    model().save(tmp_path / "model.pt")
    loaded = SimpleLLM.load(tmp_path / "model.pt", device="meta")
    assert {tensor.device.type for tensor in loaded.state_dict().values()} == {"meta"}


def test_saving_draws_no_random_numbers(tmp_path: Path) -> None:
    module, before = model(), torch.get_rng_state()
    module.save(tmp_path / "model.pt")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_place_that_can_hold_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"path '.*no/model\.pt' is in no folder yet"):
        model().save(tmp_path / "no" / "model.pt")
    with pytest.raises(IsADirectoryError, match=f"path '{tmp_path}' is a folder"):
        model().save(tmp_path)
    assert list(tmp_path.iterdir()) == []


# -- what is refused -------------------------------------------------------------------------------


def a_checkpoint() -> dict[str, Any]:
    module = model()
    return {"config": dataclasses.asdict(module.config), "state_dict": dict(module.state_dict())}


def an_archive(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "hello")
    return file.getvalue()


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (b"hello, hello, hello\n", r"it begins with b'hello, hello', as no checkpoint does\."),
        (b"", r"it is empty\."),
        (b"\x80\x04N.", r"it is a pickle of something else, or cut short\."),
        (b"PK\x05\x06" + bytes(18), r"it is a zip archive of something else\."),
        (an_archive("notes.txt"), r"it is a zip archive of something else\."),
        (
            an_archive("model/data.pkl"),
            r"it holds more than plain .* A whole .*: save it .*\.save\.",
        ),
        ([1, 2], r"it holds a list, not config and state_dict\."),
        ({}, r"it holds no config and state_dict\."),
        ({"epoch": 3}, r"it holds no config and state_dict\."),
        (
            {"weights": torch.zeros(3)},
            r"it holds no config and state_dict, but weights alone: build .* load_state_dict\.",
        ),
    ],
)
def test_whatever_else_a_file_holds_is_refused_with_its_path(
    held: Any, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.pt"
    if isinstance(held, bytes):
        path.write_bytes(held)
    else:
        torch.save(held, path)
    message = rf"model\.pt was not written by SimpleLLM\.save, or is damaged: {why}$"
    with pytest.raises(ValueError, match=message):
        SimpleLLM.load(path)


def test_half_a_file_is_said_to_end_early(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    model().save(path)
    data = path.read_bytes()
    path.write_bytes(data[:1000])
    with pytest.raises(ValueError, match=r"damaged: it ends early, after 1000 bytes\.$"):
        SimpleLLM.load(path)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"damaged: it is a folder\.$"):
        SimpleLLM.load(tmp_path)


class Command:
    """What executes something as soon as it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    torch.save(a_checkpoint() | {"version": Command(tmp_path / "made")}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="because that would execute what it says"):
        SimpleLLM.load(tmp_path / "model.pt")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"version": 2}, r"its version is 2, .* reads 1: install the simplellm that wrote it\."),
        ({"version": True}, "its version is True"),
        ({"format": "poem"}, r"it says that it is 'poem', not 'simplellm model'\."),
        ({"config": ["d_model"]}, r"its config must be a dict by name, got list\."),
        ({"config": {1: 2}}, r"its config must be a dict by name, got dict\."),
        ({"state_dict": []}, r"its state_dict must be a dict by name, got list\."),
    ],
)
def test_parts_of_another_kind_are_refused_by_name(
    changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    torch.save(a_checkpoint() | changes, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"model\.pt .* damaged: {why}"):
        SimpleLLM.load(tmp_path / "model.pt")


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("config", {"extra": 1, "more": 2}, r"its config has the unknown 'extra', 'more'\.$"),
        ("config", {"scale": None}, "scale must be True or False"),
        ("config", {"d_model": 64}, r"has shape \(40, 32\).*\(40, 64\)"),
        (
            "state_dict",
            {"norm.extra": torch.zeros(2)},
            r"fit its config: norm\.extra is unknown\.$",
        ),
        (
            "state_dict",
            {f"a{i}": torch.zeros(2) for i in range(5)},
            r"config: a0 is unknown; a1 is .*; a4 is unknown\.$",
        ),
        (
            "state_dict",
            {f"a{i}": torch.zeros(2) for i in range(6)},
            r"a4 is unknown, and 1 more\.$",
        ),
        ("state_dict", {"module.norm.bias": torch.zeros(2)}, r"norm\.bias twice, once as module\."),
        ("state_dict", {"norm.weight": torch.zeros(2).long()}, "norm.weight must be .* floats"),
        ("state_dict", {"norm.weight": "none"}, r"a tensor of floats, got 'none'\.$"),
        (
            "state_dict",
            {"norm.weight": torch.zeros(32, device="meta")},
            r"its norm\.weight must be .*, got torch\.float32 on meta\.$",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(
    part: str, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    content = a_checkpoint()
    content[part] |= changes
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=rf"model\.pt .*{words}"):
        SimpleLLM.load(tmp_path / "model.pt")


def test_settings_that_are_missing_are_named(tmp_path: Path) -> None:
    content = a_checkpoint()
    del content["config"]["dropout"], content["config"]["scale"]
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"damaged: its config lacks dropout, scale\.$"):
        SimpleLLM.load(tmp_path / "model.pt")


def test_a_model_that_load_could_not_build_is_not_saved(tmp_path: Path) -> None:
    module = model(tie_weights=False)
    module.norm = nn.RMSNorm(32)  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"model\.pt' and was not saved: .*norm.bias is missing"):
        module.save(tmp_path / "model.pt")
    assert list(tmp_path.iterdir()) == []
