"""What a heatmap is before a browser sees it: its state, its still picture, its refusals."""

from __future__ import annotations

import base64
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from simplellm import InputEmbedding, SimpleLLM, SimpleLLMConfig, cards, plots, sinusoidal_encoding
from simplellm import palette as colours
from simplellm.heatmap import (
    EncodingExplorer,
    Heatmap,
    Interactive,
    SentenceExplorer,
    code,
    from_html,
    script,
)
from simplellm.heatmap.code import stylesheet
from simplellm.heatmap.live import LiveHeatmap
from simplellm.heatmap.values import check_words, scale_limits, stored_form
from simplellm.palette import with_colors

FINITE = st.floats(-1e6, 1e6, width=32)


def grid(values, **options) -> Heatmap:
    return Heatmap(values, **{"title": "A title", "name": "grid", **options})


def sentence(text: str = "ab", **options) -> SentenceExplorer:
    torch.manual_seed(0)
    return SentenceExplorer(InputEmbedding(259, 8, 12, 0.1), text, **options)


def small_model() -> SimpleLLM:
    return SimpleLLM(
        SimpleLLMConfig(vocab_size=259, d_model=8, n_layers=1, n_heads=1, max_seq_len=8)
    )


def spoilt_layer() -> InputEmbedding:
    layer = InputEmbedding(259, 8, 12, 0.0)
    torch.nn.init.constant_(layer.token_embedding.embedding.weight, math.nan)
    return layer


def assert_shown(heatmap, words, axis_names, limits):
    """A still holds the values, the words above them, the names of its axes and its limits."""
    with plots.still_style():
        figure = heatmap.figure()
    axes, bar = figure.axes
    assert " ".join(text.get_text() for text in figure.texts) == words
    assert (axes.get_ylabel(), axes.get_xlabel(), bar.get_ylabel()) == axis_names
    assert np.array_equal(axes.images[0].get_array(), heatmap.values())
    assert axes.images[0].get_clim() == limits
    return axes


ALL = [EncodingExplorer(d_model=8, positions=6), grid([[1.0, -2.0]]), sentence()]


# ---- the output


@pytest.mark.parametrize("heatmap", ALL, ids=lambda heatmap: heatmap.state["kind"])
def test_output_is_rebuilt_from_itself(heatmap):
    assert from_html(heatmap.html())._repr_mimebundle_() == heatmap._repr_mimebundle_()


@pytest.mark.parametrize("heatmap", ALL, ids=lambda heatmap: heatmap.state["kind"])
def test_output_needs_nothing_from_elsewhere(heatmap):
    fetched = re.findall(
        r"""(?:src|href)=["']?(?!data:)([^"'> ]+)|url\(([^)]*)\)""", heatmap.html()
    )
    # What is left are the strings from which the script builds its own links.
    assert all(found[0].startswith("$") for found in fetched), fetched
    assert "import(" not in script() and not re.search(r"\bfetch\(", script())


@pytest.mark.parametrize("heatmap", ALL, ids=lambda heatmap: heatmap.state["kind"])
def test_still_picture_carries_alt_text_with_the_key_numbers(heatmap):
    (alt,) = re.findall(r'<img [^>]*alt="([^"]+)"', heatmap.html())
    assert all(fact in alt for fact in heatmap.facts())
    assert len(heatmap.facts()) == 3


@pytest.fixture
def unpainted(monkeypatch):
    """Outputs without their picture, which takes longest."""
    monkeypatch.setattr(Interactive, "picture", lambda heatmap: b"a picture")


@pytest.mark.parametrize("heatmap", ALL, ids=lambda heatmap: heatmap.state["kind"])
def test_page_holds_the_state_the_picture_and_its_words(heatmap, unpainted):
    page = heatmap.html()
    rebuilt = from_html(page)
    assert type(rebuilt) is type(heatmap) and rebuilt.state == heatmap.state
    assert f'<div class="simplellm-heatmap" id="heatmap-{heatmap.state["name"]}" ' in page
    assert f"<figcaption>{' '.join(heatmap.facts())}</figcaption>" in page
    assert f'alt="{heatmap.alt}" width="720" height="360">' in page
    assert f'src="data:image/png;base64,{base64.b64encode(b"a picture").decode()}"' in page


def test_notebook_is_offered_the_page_the_picture_and_the_words(unpainted):
    bundle = ALL[0]._repr_mimebundle_()
    assert bundle == {
        "text/html": ALL[0].html(),
        "image/png": base64.b64encode(b"a picture").decode() + "\n",
        "text/plain": "EncodingExplorer 'explorer': The sinusoidal encoding of positions",
    }


def test_state_takes_no_more_room_than_it_needs(unpainted):
    page = grid([[1.0]], title="√2", row_labels=["東京"]).html()
    (state,) = re.findall('data-state="([^"]*)"', page)
    assert "√2" in state and "東京" in state  # no six letters for one
    assert " " not in state


def test_state_of_an_explorer_is_what_the_browser_reads():
    assert EncodingExplorer().state == {
        "kind": "encoding",
        "name": "explorer",
        "title": "The sinusoidal encoding of positions",
        "d_model": 64,
        "positions": 128,
        "base": 10_000,
        "columns": "interleaved",
        "row": 0,
        "column": 0,
        "pin": None,
    }


def test_state_of_a_grid_is_what_the_browser_reads():
    values = np.array([[[1.0, 2.0, 3.0]]])
    assert grid(values, unit="ms", column_labels=["abc"] * 3).state == {
        "kind": "grid",
        "name": "grid",
        "title": "A title",
        "shape": [1, 1, 3],
        "dtype": "float32",
        "values": base64.b64encode(values.astype("<f4").tobytes()).decode(),
        "rows": {"name": "row"},
        "columns_axis": {"name": "column", "labels": ["abc", "abc", "abc"]},
        "frames": {"name": "frame"},
        "value": {"name": "value", "unit": "ms", "low": 1.0, "high": 3.0, "diverging": False},
        "row": 0,
        "column": 0,
        "frame": 0,
        "pin": None,
    }


@pytest.mark.parametrize("scale", [False, True])
def test_state_of_a_sentence_is_what_the_browser_reads(scale):
    layer = InputEmbedding(259, 16, 24, 0.0, scale=scale)
    tokens = layer.token_embedding.embedding.weight.detach().numpy()
    positions = layer.pos_embedding.pe[0].numpy()
    factor = 4 if scale else 1
    high = float(np.abs(tokens).max() * factor + np.abs(positions).max())  # no sum lies beyond
    ends = {"low": pytest.approx(-high), "high": pytest.approx(high), "diverging": True}
    assert SentenceExplorer(layer, "ab").state == {
        "kind": "sentence",
        "name": "sentence",
        "title": "Your sentence as the model receives it",
        "text": "ab",
        "tokens": base64.b64encode(tokens.astype("<f4").tobytes()).decode(),
        "positions": base64.b64encode(positions.astype("<f4").tobytes()).decode(),
        "d_model": 16,
        "scale": factor,
        "bos": 1,
        "eos": 2,
        "first_byte": 3,
        "columns_axis": {"name": "column"},
        "frames": {"name": "part", "labels": ["token", "position", "token + position"]},
        "value": {"name": "value", "unit": "", **ends},
        "row": 0,
        "column": 0,
        "frame": 2,
    }


def test_greatest_sides_and_last_places_are_taken():
    assert EncodingExplorer(2048, 2048, row=2047, column=2047, pin=2047).state["row"] == 2047
    layer = InputEmbedding(259, 2, 2048, 0.0)
    assert SentenceExplorer(layer, "ab", row=3, column=1, frame=0).state["row"] == 3
    assert sentence("x" * 50, row=11).state["row"] == 11  # as many as there are positions for


def test_still_shows_what_the_explorer_says():
    heatmap = EncodingExplorer(8, 6, title="Six positions")
    assert_shown(heatmap, "Six positions", ("← position", "column →", "value"), (-1.0, 1.0))


def test_still_shows_what_a_grid_says():
    words = {"rows": "layer", "columns": "head", "value": "time", "unit": "ms", "frames": "run"}
    names = {"row_labels": ["first", "last"], "column_labels": ["left", "middle", "right"]}
    heatmap = grid(np.arange(12.0).reshape(2, 2, 3), frame=1, limits=(5, 15), **words, **names)
    heard = "A title Shown: run 1, of 0 to 1."
    axes = assert_shown(heatmap, heard, ("← layer", "head →", "time (ms)"), (5.0, 15.0))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "last"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["left", "middle", "right"]


def test_still_shows_what_a_sentence_says():
    heatmap = sentence("ab", title="Two bytes", frame=1)
    heard = "Two bytes: 'ab' Shown: part position (2 of 3); the others: token · token + position."
    ends = (heatmap.state["value"]["low"], heatmap.state["value"]["high"])
    assert_shown(heatmap, heard, ("← position", "column →", "value"), ends)


def test_still_picture_shows_the_values():
    # Two halves, minus and plus: the picture must be blue on the left and red on the right.
    heatmap = grid([[-1.0] * 4 + [1.0] * 4] * 4)
    pixels = np.asarray(Image.open(io.BytesIO(heatmap.picture())).convert("RGB"), dtype=int)
    middle = pixels[pixels.shape[0] // 2]
    left, right = middle[150], middle[500]
    assert left[2] > left[0] + 50
    assert right[0] > right[2] + 50


def test_html_of_odd_titles_and_labels_is_safe():
    nasty = "a<b>\"'&</script>"
    heatmap = grid([[1.0]], title=nasty, row_labels=[nasty])
    assert nasty not in heatmap.html()
    assert from_html(heatmap.html()).state == heatmap.state


def test_script_stays_under_60_kilobytes():
    assert len(script().encode()) < 60_000


# ---- the numbers


def test_explorer_says_its_size_its_wavelengths_and_how_many_turn():
    assert EncodingExplorer(8, 100, 16.0, title="Four pairs").facts() == [
        "100 positions by 8 columns, base 16.",
        "Wavelengths run from 6.283 to 50 positions.",  # 2π and 16 ** (6 / 8) = 8 times as long
        "4 of 4 pairs turn at least once within these positions.",
    ]


def test_grid_says_its_size_its_range_and_its_root_mean_square():
    words = {"rows": "layer", "columns": "head", "frames": "run", "value": "time", "unit": "ms"}
    assert grid([[3.0, -4.0]], **words).facts() == [
        "1 × 2 (layer × head).",
        "time: -4 to 3 ms.",
        "Root mean square 3.54.",
    ]
    assert grid([[[3.0, -4.0]], [[math.nan, 0.0]]], **words).facts()[0] == (
        "1 × 2 (layer × head) in 2 frames (run), 1 without a value."
    )


def test_sentence_says_its_size_and_the_sizes_of_its_parts():
    heatmap = sentence("abc")
    rms = [float(np.sqrt(np.mean(part * part))) for part in heatmap.parts()]
    assert heatmap.facts() == [
        "5 tokens, 8 columns.",
        f"Root mean square of the token rows: {rms[0]:.3g}.",
        f"Root mean square of the position rows: {rms[1]:.3g}.",
    ]


def test_explorer_holds_the_encoding_and_its_key_numbers():
    heatmap = EncodingExplorer(d_model=64, positions=128)
    exact = [[math.sin(37 / 10_000 ** (20 / 64)), math.cos(37 / 10_000 ** (20 / 64))]]
    assert np.allclose(heatmap.values()[37:38, 20:22], exact, atol=1e-12)
    turned = sum(2 * math.pi * 10_000 ** (2 * i / 64) <= 128 for i in range(32))
    assert f"{turned} of 32 pairs" in heatmap.alt


def test_halves_are_the_same_columns_in_another_order():
    interleaved = EncodingExplorer(d_model=8, positions=5).values()
    halves = EncodingExplorer(d_model=8, positions=5, columns="halves").values()
    assert np.array_equal(halves, interleaved[:, [0, 2, 4, 6, 1, 3, 5, 7]])


@given(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=3, max_side=6), elements=FINITE)
)
@settings(max_examples=50)
def test_given_values_come_back(values):
    frames = values if values.ndim == 3 else values[None]
    assert np.abs(grid(values).all_values() - frames).max() <= 5e-7


def test_values_that_float32_would_round_visibly_are_kept_in_float64():
    values = [[123456.789012]]
    assert grid(values).state["dtype"] == "float64"
    assert grid(values).values()[0, 0] == values[0][0]
    assert grid([[0.1]]).state["dtype"] == "float32"


def test_tensors_with_gradient_and_in_bfloat16_are_taken():
    x = torch.tensor([[1.0, 2.5]], dtype=torch.bfloat16, requires_grad=True)
    assert grid(x).values().tolist() == [[1.0, 2.5]]
    assert grid([x, x]).all_values().tolist() == [[[1.0, 2.5]]] * 2


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64]
)
def test_every_real_dtype_is_shown_as_its_numbers(dtype):
    x = torch.tensor([[0, 1], [1, 0]], dtype=dtype)
    assert grid(x).values().tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert grid(x.to_sparse()).values().tolist() == [[0.0, 1.0], [1.0, 0.0]]
    if dtype != torch.bfloat16:
        assert grid(x.numpy()).values().tolist() == [[0.0, 1.0], [1.0, 0.0]]


HIDDEN = np.ma.array([[1.0, 999.0], [3.0, 2.0]], mask=[[False, True], [False, False]])


@pytest.mark.parametrize(
    "values",
    [HIDDEN, [HIDDEN, HIDDEN], [list(HIDDEN)], np.ma.stack([HIDDEN])],
    ids=["array", "list of arrays", "list of rows", "stack"],
)
def test_what_is_masked_has_no_value_and_sets_no_scale(values):
    heatmap = grid(values)
    assert np.isnan(heatmap.values()).tolist() == [[False, True], [False, False]]
    assert (heatmap.state["value"]["low"], heatmap.state["value"]["high"]) == (1.0, 3.0)
    assert np.nansum(heatmap.values()) == 6 and "without a value" in heatmap.alt
    assert "1 to 3" in heatmap.alt


def test_whole_numbers_that_are_masked_have_no_value_either():
    heatmap = grid(np.ma.array([[1, 999], [3, 2]], mask=HIDDEN.mask))
    assert np.isnan(heatmap.values()).sum() == 1
    assert heatmap.state["value"]["high"] == 3.0


def test_nan_has_no_value_and_is_drawn_as_no_colour_of_the_scale():
    heatmap = grid([[1.0, math.nan]] * 2)
    assert (heatmap.state["value"]["low"], heatmap.state["value"]["high"]) == (1.0, 2.0)
    pixels = np.asarray(Image.open(io.BytesIO(heatmap.picture())).convert("RGB"), dtype=int)
    there = pixels[100:200, 400:500].reshape(-1, 3)
    assert (np.ptp(there, axis=1) < 25).all()  # white and grey: a hatching, no colour
    assert np.ptp(there.sum(axis=1)) > 200


@pytest.mark.parametrize(
    "values",
    [
        1e9 + np.arange(4.0),
        -1e9 - np.arange(4.0),
        1 + 1e-8 * np.arange(4),
        1e-140 * np.arange(4),
        1e149 * np.arange(4),
    ],
    ids=["billions", "minus billions", "about one", "tiny", "huge"],
)
def test_values_keep_their_differences_in_numbers_words_and_colours(values):
    heatmap = grid(values[None])
    assert heatmap.values().tolist() == [values.tolist()]
    low, high = sorted((values[0], values[-1]))
    assert (heatmap.state["value"]["low"], heatmap.state["value"]["high"]) == (low, high)
    words = re.search(r"value: (\S+) to (\S+)\.(?: |$)", heatmap.alt)
    assert [float(word) for word in words.groups()] == pytest.approx([low, high], abs=0, rel=1e-12)
    with plots.still_style():
        axes = heatmap.figure().axes[0]
    shown = axes.images[0].norm(values)
    assert np.allclose(sorted(shown), [0, 1 / 3, 2 / 3, 1], atol=1e-6)


def test_differences_within_one_frame_are_kept_beside_a_wide_one():
    close = 1 + 1e-8 * np.arange(4)
    assert grid([[[0.0, 50.0, -3.0, 9.0]], [close]]).all_values()[1, 0].tolist() == close.tolist()


def test_values_too_small_for_float32_are_not_rounded_to_zero():
    assert grid([[1e-50, 2e-50]]).values().tolist() == [[1e-50, 2e-50]]


@pytest.mark.parametrize("value", [0.0, 7.0, -7.0, 1e20, -1e20, 1e-160])
def test_equal_values_have_a_scale_with_two_ends(value):
    if value == 1e-160:
        with pytest.raises(ValueError, match="multiply"):
            grid([[value, value]])
        return
    ends = grid([[value, value]]).state["value"]
    assert ends["low"] <= value <= ends["high"]
    assert ends["low"] < ends["high"]


def test_places_of_numpy_and_torch_go_into_the_page():
    heatmap = grid(np.eye(3), row=np.int64(1), column=torch.tensor(2), pin=np.uint8(0))
    assert from_html(heatmap.html()).state == heatmap.state
    explorer = EncodingExplorer(np.int64(8), np.int32(6), np.float64(50.0), row=np.int64(1))
    assert from_html(explorer.html()).state == explorer.state


def test_output_draws_its_picture_once(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "to_png", lambda figure: drawn.append(figure) or b"png")
    grid([[1.0, 2.0]])._repr_mimebundle_()
    assert len(drawn) == 1


def test_layer_with_places_for_the_marks_alone_shows_them():
    heatmap = SentenceExplorer(InputEmbedding(259, 8, 2, 0.0), "anything")
    assert heatmap.ids() == [SentenceExplorer.BOS, SentenceExplorer.EOS]
    assert heatmap.parts().shape == (3, 2, 8)


def test_picture_says_which_frame_it_shows_and_which_others_there_are():
    heatmap = grid(np.zeros((3, 1, 1)), frames="layer", frame_labels=["a", "b", "c"], frame=1)
    assert "Shown: layer b (2 of 3); the others: a · c." in heatmap.alt
    assert "Shown: step 4, of 0 to 8." in grid(np.zeros((9, 1, 1)), frames="step", frame=4).alt
    assert "Shown: part token (1 of 3)" in sentence(frame=0).alt
    assert "Shown" not in grid([[1.0]]).alt
    with plots.still_style():
        words = " ".join(text.get_text() for text in heatmap.figure().texts)
    assert "Shown: layer b (2 of 3); the others: a · c." in words


@pytest.mark.parametrize(
    ("limits", "extend"),
    [(None, "neither"), ((-1, 1), "both"), ((-2, 2), "max"), ((-3, 3), "neither")],
)
def test_still_marks_the_ends_that_values_lie_beyond(limits, extend):
    heatmap = Heatmap([[-1.5, 0.1, 3.0]], title="Ends", name="ends", limits=limits)
    with plots.still_style():
        bar = heatmap.figure().axes[1]
    assert bar._colorbar.extend == extend
    assert bar.get_ylabel() == "value"  # without a unit no brackets


def test_signed_values_get_a_scale_symmetric_around_zero():
    value = grid([[-3.0, 1.0]]).state["value"]
    assert (value["low"], value["high"], value["diverging"]) == (-3.0, 3.0, True)
    value = grid([[-1.0, 3.0]]).state["value"]
    assert (value["low"], value["high"], value["diverging"]) == (-3.0, 3.0, True)
    value = grid([[-3.0, -1.0]]).state["value"]
    assert (value["low"], value["high"], value["diverging"]) == (-3.0, 3.0, True)


@pytest.mark.parametrize(
    "limits", [(0, 1), (0.5, 2), (-2, -1), (-1, 0), (-3, 3), (-1e150, 1e150)], ids=str
)
def test_limits_are_taken_as_they_are_given(limits):
    value = grid([[0.5]], limits=limits).state["value"]
    assert (value["low"], value["high"]) == limits


@pytest.mark.parametrize(
    ("values", "limits"),
    [([0, 5], (0, 5)), ([0.5, 5], (0.5, 5)), ([0, 0], (0, 1)), ([0.5], (0.5, 1.5)), ([7], (7, 14))],
    ids=str,
)
def test_magnitudes_run_from_least_to_greatest(values, limits):
    value = grid([values]).state["value"]
    assert (value["low"], value["high"]) == limits


def test_as_many_values_as_a_page_shows_are_taken():
    assert grid(np.zeros((2048, 1))).state["shape"] == [1, 2048, 1]
    assert grid(np.zeros((1, 2048))).state["shape"] == [1, 1, 2048]
    assert grid(np.zeros((1024, 1024), dtype=np.float32)).state["shape"] == [1, 1024, 1024]


def test_magnitudes_get_a_sequential_scale():
    value = grid([[2.0, 5.0]]).state["value"]
    assert (value["low"], value["high"], value["diverging"]) == (2.0, 5.0, False)


def test_equal_values_still_have_a_scale():
    value = grid([[7.0, 7.0]]).state["value"]
    assert value["low"] < value["high"]


@pytest.mark.parametrize("learned", [False, True])
@pytest.mark.parametrize("scale", [False, True])
def test_sentence_holds_what_the_layer_gives(learned, scale):
    torch.manual_seed(0)
    layer = InputEmbedding(259, 16, 24, 0.5, use_learned_pe=learned, scale=scale).eval()
    heatmap = SentenceExplorer(layer, "Größe: 5 €")
    assert heatmap.ids() == [1, *(byte + 3 for byte in "Größe: 5 €".encode()), 2]
    given_by_layer = layer(torch.tensor([heatmap.ids()]))[0].detach().numpy()
    assert np.abs(heatmap.parts()[2] - given_by_layer).max() < 1e-6


def test_sentence_longer_than_the_layer_is_cut_before_its_end_mark():
    heatmap = sentence("x" * 50)
    assert len(heatmap.ids()) == 12
    assert heatmap.ids()[-1] == SentenceExplorer.EOS


# ---- refusals


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: grid([[math.nan, math.nan]]), ValueError, ["values", "all NaN or masked"]),
        (lambda: grid(np.ma.masked_all((2, 2))), ValueError, ["values", "all NaN or masked"]),
        (lambda: grid([[1e300]]), ValueError, ["values", "1e+300", "±1e+150", "Divide"]),
        (lambda: grid([[5e-324, 0.0]]), ValueError, ["values", "5e-324", "multiply"]),
        (lambda: grid([[2**60, 2**60 + 1]]), ValueError, ["values", "2**53", "Subtract"]),
        (lambda: grid([[1.0], [1.0, 2.0]]), ValueError, ["values", "ragged", "(1,)", "(2,)"]),
        (lambda: grid([[None, 1.0]]), TypeError, ["values", "object", "NaN"]),
        (lambda: grid(3.0), ValueError, ["values", "(rows, columns)", "()"]),
        (lambda: grid(np.zeros((1, 1, 1, 1))), ValueError, ["values", "(1, 1, 1, 1)"]),
        (lambda: grid(torch.ones(1, 1) * 1j), TypeError, ["values", "complex64", "values.real"]),
        (lambda: grid([torch.ones(1) * 1j]), TypeError, ["values", "complex64"]),
        (lambda: grid(torch.ones(1, 1, device="meta")), ValueError, ["values", "meta"]),
        (lambda: grid([[1.0], [math.inf]]), ValueError, ["values", "infinite", "(0, 1, 0)"]),
        (lambda: grid(np.empty((0, 3))), ValueError, ["values", "empty", "(1, 0, 3)"]),
        (lambda: grid(np.zeros((3, 3000))), ValueError, ["values", "3000", "2048"]),
        (lambda: grid(np.zeros((9, 400, 400))), ValueError, ["values", "1440000", "1048576"]),
        (lambda: grid([1.0, 2.0]), ValueError, ["values", "(rows, columns)", "(2,)"]),
        (lambda: grid([["a"]]), TypeError, ["values", "real numbers"]),
        (lambda: grid([[1.0 + 2.0j]]), TypeError, ["values", "complex"]),
        (lambda: grid([[1.0]], row_labels=["a", "b"]), ValueError, ["row_labels", "2", "1"]),
        (lambda: grid([[1.0, 2.0]], column_labels="ab"), TypeError, ["column_labels", "'ab'"]),
        (lambda: grid([[1.0]], frame_labels=3), TypeError, ["frame_labels", "list", "3"]),
        (lambda: grid([[1.0]], title=None), TypeError, ["title", "str", "None"]),
        (lambda: grid([[1.0]], title=" "), ValueError, ["title", "empty"]),
        (lambda: grid([[1.0]], name=7), TypeError, ["name", "str", "7"]),
        (lambda: grid([[1.0]], unit=b"ms"), TypeError, ["unit", "b'ms'", "Decode"]),
        (lambda: grid([[1.0]], row=0.5), TypeError, ["row", "int", "0.5", "type float"]),
        (lambda: grid([[1.0]], pin=True), TypeError, ["pin", "int", "True"]),
        (lambda: grid([[1.0]], column=-1), ValueError, ["column", "at least 0", "-1"]),
        (lambda: grid([[1.0]], limits=3), TypeError, ["limits", "(low, high)", "3"]),
        (lambda: grid([[1.0]], limits=(0, 1, 2)), TypeError, ["limits", "(0, 1, 2)"]),
        (lambda: grid([[1.0]], limits=(-1e308, 1e308)), ValueError, ["limits", "1e+150"]),
        (lambda: grid([[1.0]], row=1), ValueError, ["row", "below 1", "got 1"]),
        (lambda: grid([[1.0]], frame=2), ValueError, ["frame", "below 1", "got 2"]),
        (lambda: EncodingExplorer(64, 8, pin=8), ValueError, ["pin", "below 8", "got 8"]),
        (lambda: grid([[1.0]], pin=1), ValueError, ["pin", "below 1", "got 1"]),
        (lambda: grid([[1.0]], limits=(1, 1)), ValueError, ["limits", "low < high"]),
        (lambda: grid([[1.0]], limits=(-1, 2)), ValueError, ["limits", "symmetric", "(-1.0, 2.0)"]),
        (lambda: grid([[1.0]], name="No Spaces"), ValueError, ["name", "'No Spaces'"]),
        (lambda: EncodingExplorer(d_model=7), ValueError, ["d_model", "even", "7"]),
        (lambda: EncodingExplorer(positions=0), ValueError, ["positions", "0"]),
        (lambda: EncodingExplorer(positions=5000), ValueError, ["positions", "2048", "5000"]),
        (lambda: EncodingExplorer(base=-1), ValueError, ["base", "-1"]),
        (lambda: EncodingExplorer(columns="zigzag"), ValueError, ["columns", "'zigzag'"]),
        (lambda: EncodingExplorer(row=128), ValueError, ["row", "below 128", "128"]),
        (
            lambda: SentenceExplorer(InputEmbedding(100, 8, 8, 0.0), "a"),
            ValueError,
            ["layer", "vocabulary", "259", "100"],
        ),
        (
            lambda: SentenceExplorer(small_model(), "a"),
            TypeError,
            ["layer", "SimpleLLM", "input_embedding"],
        ),
        (
            lambda: SentenceExplorer(torch.nn.Embedding(259, 8), "a"),
            TypeError,
            ["layer", "InputEmbedding", "got Embedding"],
        ),
        (
            lambda: SentenceExplorer(InputEmbedding(259, 8, 1, 0.0), ""),
            ValueError,
            ["layer", "2 to 2048 positions", "got 1", "max_seq_len"],
        ),
        (
            lambda: SentenceExplorer(InputEmbedding(259, 8, 3000, 0.0), ""),
            ValueError,
            ["layer", "2 to 2048 positions", "got 3000"],
        ),
        (lambda: SentenceExplorer(spoilt_layer(), "a"), ValueError, ["layer", "NaN"]),
        (lambda: sentence(b"ab"), TypeError, ["text", "b'ab'", "Decode"]),
        (lambda: sentence("\ud800"), ValueError, ["text", "UTF-8"]),
        (lambda: grid(np.zeros((3000, 3))), ValueError, ["values", "3000", "2048"]),
        (lambda: grid([[-1e200, 1.0]]), ValueError, ["values", "-1e+200", "±1e+150"]),
        (lambda: grid([[2e-150, 2.0000001e-150]]), ValueError, ["values", "closer", "multiply"]),
        (lambda: grid([[1.0]], limits=(-1e200, -1)), ValueError, ["limits", "1e+150", "-1e+200"]),
        (lambda: grid([[1.0]], limits=(1, 1 + 1e-160)), ValueError, ["limits", "low < high"]),
        (lambda: EncodingExplorer(positions=1.5), TypeError, ["positions", "1.5"]),
        (lambda: sentence("x" * 50, row=12), ValueError, ["row", "below 12", "got 12"]),
        (lambda: sentence("ab", column=8), ValueError, ["column", "below 8", "got 8"]),
        (lambda: sentence("ab", title=3), TypeError, ["title", "str", "3"]),
        (lambda: EncodingExplorer(4096), ValueError, ["d_model", "2048", "4096"]),
        (lambda: EncodingExplorer(column=64), ValueError, ["column", "below 64", "64"]),
        (lambda: grid([[1.0]], column=1), ValueError, ["column", "below 1", "got 1"]),
        (lambda: sentence("ab", row=4), ValueError, ["row", "below 4", "got 4"]),
        (lambda: sentence("ab", frame=3), ValueError, ["frame", "below 3", "got 3"]),
        (lambda: LiveHeatmap(np.eye(2)), TypeError, ["heatmap", "ndarray", "Heatmap"]),
        (lambda: LiveHeatmap(ALL[0]).show("explorer"), TypeError, ["heatmap", "str"]),
        (lambda: from_html("<p>nothing</p>"), ValueError, ["the", "simplellm-heatmap"]),
    ],
)
def test_bad_input_is_named_with_its_value_and_limit(make, error, words):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).split()[0] == words[0]
    for word in words:
        assert word in str(caught.value)


# ---- the colours


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    linear = []
    for at in (1, 3, 5):
        c = int(colour[at : at + 2], 16) / 255
        linear.append(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def lightness(colour: str) -> float:
    """CIELAB L*, in which equal steps look equal."""
    y = luminance(colour)
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("ink", "least"), [("ink", 4.5), ("muted", 4.5), ("first", 4.5), ("second", 4.5), ("focus", 3)]
)
def test_inks_stand_out_from_the_paper(ink, least, dark):
    (a,), (b,) = colours.colors(ink, dark=dark), colours.colors("paper", dark=dark)
    low, high = sorted((luminance(a), luminance(b)))
    assert (high + 0.05) / (low + 0.05) >= least


@pytest.mark.parametrize("dark", [False, True])
def test_sequential_scale_is_even_to_the_eye(dark):
    steps = np.diff([lightness(c) for c in colours.colors("sequential", dark=dark)])
    assert (np.sign(steps) == np.sign(steps[0])).all()
    assert np.abs(steps).max() < 2 * np.abs(steps).min()


@pytest.mark.parametrize("dark", [False, True])
def test_diverging_scale_is_even_to_the_eye_and_neutral_at_zero(dark):
    stops = colours.colors("diverging", dark=dark)
    steps = np.abs(np.diff([lightness(c) for c in stops]))
    assert steps.max() < 2.6 * steps.min()
    middle = stops[len(stops) // 2]
    assert middle[1:3] == middle[3:5] == middle[5:7]  # grey
    assert abs(lightness(stops[0]) - lightness(stops[-1])) < 10


def test_browser_and_still_read_the_same_colours():
    html = grid([[1.0]]).html()
    for name in ("diverging", "sequential"):
        assert " ".join(colours.colors(name)) in html


def test_colours_are_those_of_light_pages_unless_dark_ones_are_asked_for():
    assert luminance(colours.colors("paper")[0]) > 0.8
    assert luminance(colours.colors("paper", dark=True)[0]) < 0.1
    assert colours._palette()["light"].keys() == colours._palette()["dark"].keys()


@pytest.mark.parametrize("ask", [colours.colors, lambda name: with_colors(f"@colors dark {name};")])
def test_unknown_colour_is_an_error(ask):
    with pytest.raises(KeyError, match=r"palette\.css names no colour --mauve, only ink, "):
        ask("mauve")


def test_a_style_sheet_gets_the_colours_that_it_uses_or_names():
    style = "a {\n  @colors light;\n}\nb { @colors dark second; color: var(--ink); }"
    (ink,), (second,) = colours.colors("ink", dark=True), colours.colors("second", dark=True)
    assert with_colors(style) == (
        f"a {{\n  --ink: {colours.colors('ink')[0]};\n}}\n"
        f"b {{ --ink: {ink};\n--second: {second}; color: var(--ink); }}"
    )
    everywhere = cards.code("card")  # no other style of a card stands alone
    styles = [
        everywhere + cards.code(name)
        for name, (file, *_) in cards.CODE.items()
        if file.endswith("css")
    ]
    for sheet in (stylesheet(), *styles):
        assert "@colors" not in sheet
        assert set(re.findall(r"var\(--([\w-]+)\)", sheet)) <= set(
            re.findall(r"--([\w-]+):", sheet)
        )


def test_a_colour_of_the_palette_stands_in_the_palette_alone():
    palette = " ".join(" ".join(values.values()) for values in colours._palette().values())
    root = Path(__file__).parent.parent
    styled = [f for kind in ("css", "js", "py") for f in (root / "simplellm").rglob(f"*.{kind}")]
    found = {
        f.relative_to(root).as_posix(): set(palette.split())
        & set(re.findall(r"#[0-9a-f]{6}", f.read_text("utf-8")))
        for f in [*styled, root / "_static" / "book.css", *(root / "_ext").glob("*.py")]
    }
    only = {name for name, some in found.items() if some - {"#ffffff"}}
    assert only == {"simplellm/palette.css"}


def test_values_of_the_explorer_are_the_package_s():
    heatmap = EncodingExplorer(d_model=16, positions=9, base=50.0)
    assert np.array_equal(heatmap.values(), sinusoidal_encoding(range(9), 16, 50.0).numpy())


def test_stored_values_are_little_endian_wherever_they_were_made():
    big = np.array([[1.0, 256.0]], dtype=">f8")
    raw = base64.b64decode(grid(big).state["values"])
    assert np.frombuffer(raw, "<f4").tolist() == [1.0, 256.0]


# ---- the script, and numbers at the edge of what can be shown


def test_script_is_its_parts_in_order_without_what_only_a_module_needs():
    """Joined here by lines, where the package has one expression for all."""
    lines = ["// simplellm/heatmap/js, which explains itself there", "(() => {"]
    for name in code.PARTS[:-1]:
        source = re.sub(r"(?s)(?<=\n) */\*\*.*?\*/\n", "", "\n" + code.part(name))
        kept = [line.strip(" ") for line in source.split("\n")]
        kept = [line for line in kept if not line.startswith(("import ", "//"))]
        lines += "\n".join(line.removeprefix("export ") for line in kept).strip("\n").split("\n")
        lines.append("")
    lines += ["mountAll();", 'document.addEventListener("DOMContentLoaded", mountAll);', "})();"]
    assert [line for line in script().split("\n") if line] == [line for line in lines if line]
    assert script().startswith(lines[0] + "\n(() => {\n") and script().endswith("\n})();")
    assert "mountAll" in code.part(code.PARTS[-2])  # the last part that a page needs


def test_a_text_that_is_bytes_is_told_to_be_decoded_and_another_is_not():
    for name, hint in ((b"a", " Decode it first."), (3, "")):
        kind = type(name).__name__
        with pytest.raises(TypeError) as refusal:
            check_words(title=name)
        assert str(refusal.value) == f"title must be a str, got {name!r} of type {kind}.{hint}"


def test_complex_values_are_told_every_way_out():
    with pytest.raises(TypeError, match=r"Show values\.real, values\.imag or values\.abs\(\)\.$"):
        grid(torch.zeros(1, 1, dtype=torch.complex64))


def test_infinite_values_and_large_whole_numbers_are_told_the_way_out_in_full():
    with pytest.raises(ValueError, match=r"make them NaN, which is shown as no value, or replace"):
        grid([[math.inf]])
    with pytest.raises(
        ValueError, match=r"neighbours apart\. Subtract what they have in common\.$"
    ):
        grid([[2**54, 1]])
    with pytest.raises(ValueError, match=r"the middle of the colour scale means zero\.$"):
        grid([[1.0, 2.0]], limits=(-1, 2))


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")  # old, and still met in files
def test_quantized_values_are_shown_as_the_numbers_they_stand_for():
    x = torch.quantize_per_tensor(torch.tensor([[0.5, 1.0]]), 0.5, 0, torch.quint8)
    assert grid(x).values().tolist() == [[0.5, 1.0]]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_whole_numbers_are_taken_up_to_the_last_that_float64_tells_from_its_neighbours(dtype):
    assert grid(np.array([[2**53, 0]], dtype)).values()[0, 0] == 2**53
    with pytest.raises(ValueError, match="2\\*\\*53"):
        grid(np.array([[2**53 + 2, 0]], dtype))


def test_numbers_are_drawn_up_to_the_limits_and_not_beyond():
    assert grid([[1e150, 0.0]]).values()[0, 0] == 1e150
    assert grid([[1e-150, 0.0]]).values()[0, 0] == 1e-150
    for beyond in (1.0001e150, 0.9999e-150):
        with pytest.raises(ValueError, match="cannot be drawn"):
            grid([[beyond, 0.0]])


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ((-9.0, -1.0), (-9.0, 9.0)),  # eight times as far apart as from zero: around zero
        ((-9.0, -8.0), (-9.0, -8.0)),  # close together, far from zero: their own scale
        ((-8.0, -7.0), (-8.0, 8.0)),  # at the border around zero
        ((-9.0, 0.0), (-9.0, 9.0)),  # zero is among them
        ((-0.5, 0.5), (-0.5, 0.5)),
    ],
)
def test_negative_numbers_get_a_scale_of_their_own_only_where_zero_would_hide_them(values, scale):
    assert scale_limits(np.array([[values]]), None) == scale


def test_float32_is_kept_where_nobody_could_see_the_difference_and_not_elsewhere():
    fine = np.array([[[0.1, 0.2]]])  # off by parts in 10 ** 9
    assert stored_form(fine).dtype == np.float32
    close = np.array([[[1.0, 1.0 + 1e-5]]])  # float32 has steps of 1e-7 there: a hundredth of it
    assert stored_form(close).dtype == np.float64
    large = np.array([[[1e7 + 0.25, 0.0]]])
    assert stored_form(large).dtype == np.float64


# ---- with Python listening


def test_live_heatmap_carries_the_same_module_and_state():
    heatmap = EncodingExplorer(d_model=8, positions=6, row=2)
    live = LiveHeatmap(heatmap)
    assert live.state == heatmap.state
    assert "export default" in live._esm
    assert "export default" not in script()  # a kernel is needed for that part


def test_live_heatmap_tells_python_where_the_reader_is():
    live = LiveHeatmap(EncodingExplorer(d_model=8, positions=6, row=2))
    heard = []
    live.observe(lambda change: heard.append(change["new"]["row"]), names="view")
    live.view = {**live.view, "row": 4}  # what the browser does
    live.show(EncodingExplorer(d_model=8, positions=6, row=1))
    assert heard == [4, 1]


@pytest.mark.parametrize(
    ("heatmap", "view"),
    [
        (
            EncodingExplorer(8, 6, 50.0, "halves", row=2, column=5, pin=1),
            {"d_model": 8, "positions": 6, "base": 50.0, "columns": "halves", "pin": 1},
        ),
        (grid(np.zeros((2, 3, 6)), row=2, column=5, frame=1), {"frame": 1, "pin": None}),
        (sentence("ab", row=2, column=5, frame=0), {"frame": 0, "text": "ab"}),
    ],
    ids=["encoding", "grid", "sentence"],
)
def test_live_heatmap_knows_its_view_before_the_browser_reports_it(heatmap, view):
    live = LiveHeatmap(ALL[0])
    live.show(heatmap)
    for one in (LiveHeatmap(heatmap), live):
        assert one.view == {"row": 2, "column": 5, **view}
        assert one.state == heatmap.state


def test_live_heatmap_takes_the_options_of_a_widget():
    assert LiveHeatmap(ALL[0], tooltip="Point at a number").tooltip == "Point at a number"


def test_live_heatmap_has_a_short_name_without_an_address():
    assert (
        repr(LiveHeatmap(ALL[0])) == "LiveHeatmap 'explorer': The sinusoidal encoding of positions"
    )
