from pathlib import Path

import numpy as np
import pytest
import torch

from tests.extraction.cases import ROWS, TEXTS, set_context, states_alone
from tests.tiny import VOCABULARY, save_tiny_model
from w2sprobe import extract
from w2sprobe.errors import InputError
from w2sprobe.models import (
    describe_model,
    load_base,
    load_tokenizer,
)


@pytest.mark.parametrize("architecture", ["llama", "bert"])
@pytest.mark.parametrize(
    ("position", "reduce"),
    [
        ("first", lambda states: states[:, 0]),
        ("mean", lambda states: states.mean(dim=1)),
        ("all", lambda states: states.flatten(0, 1).view(4, -1, 32)),
    ],
)
def test_positions(
    architecture: str, position: str, reduce, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = request.getfixturevalue(architecture)
    store = extract(model, ROWS, tmp_path / "store", position=position, batch_tokens=100)
    assert store.ragged == (position == "all")
    rows = (0, 17, 39)
    for row, states in zip(rows, states_alone(model, [TEXTS[row] for row in rows]), strict=True):
        expected = reduce(states).numpy()
        for layer in store.layers:
            found = store.read(layer, [row])
            np.testing.assert_allclose(
                found.squeeze(), expected[layer].squeeze(), rtol=1e-3, atol=1e-5
            )
    assert store.verify() == []


def test_markers(llama: str, tmp_path: Path) -> None:
    texts = ["the film was good and we liked it", "was it cold and it was warm and bad"]
    rows = [{"id": text[:3], "text": text} for text in texts]
    whole = extract(llama, rows, tmp_path / "all", position="all")
    marker = extract(llama, rows, tmp_path / "marker", position="marker:was")
    after = extract(llama, rows, tmp_path / "after", position="after:was ")
    for row, at in enumerate((2, 5)):
        tokens = whole.read(2, [row])
        np.testing.assert_allclose(marker.read(2, [row])[0], tokens[at], rtol=1e-5)
        np.testing.assert_allclose(after.read(2, [row])[0], tokens[at + 1 :].mean(0), rtol=1e-4)
    with pytest.raises(InputError, match="'the'"):
        extract(llama, rows, tmp_path / "none", position="after:liked it")


@pytest.mark.parametrize("side", ["left", "right"])
def test_markers_in_a_text_that_is_cut(side: str, tmp_path: Path) -> None:
    """The text is cut at its end, whatever side the tokenizer was saved to cut."""
    model = save_tiny_model("llama", tmp_path / "model")
    tokenizer = load_tokenizer(model)
    tokenizer.truncation_side = side
    tokenizer.save_pretrained(model)
    text = "good " * 30 + "hotel " + "bad " * 20 + "hotel " + "bad " * 11 + "hotel " + "bad " * 8
    ids = tokenizer(text)["input_ids"]
    assert [at for at, token in enumerate(ids) if token == VOCABULARY["hotel"]] == [30, 51, 63]
    tokens = torch.tensor([ids[:60]])
    with torch.inference_mode():
        states = load_base(describe_model(model), "float32", torch.device("cpu"))(
            input_ids=tokens, output_hidden_states=True
        ).hidden_states[2][0]
    expected = {
        "last": states[59],
        "marker:hotel": states[51],
        "after:hotel": states[52:60].mean(dim=0),
        "marker:good hotel": states[30],
    }
    set_context(model, 60)
    for position, vector in expected.items():
        with pytest.warns(UserWarning, match="1 of 1 texts were cut to 60"):
            store = extract(
                model,
                [{"id": "a", "text": text}],
                tmp_path / position.replace(":", "-"),
                position=position,
                truncate=True,
            )
        np.testing.assert_allclose(store.read(2)[0], vector, rtol=1e-4, atol=1e-6)
    set_context(model, 20)
    with (
        pytest.warns(UserWarning, match="were cut to 20"),
        pytest.raises(InputError, match=r"no tokens at position .*before they are cut"),
    ):
        extract(
            model, [{"id": "a", "text": text}], tmp_path / "no", position="marker:hotel",
            truncate=True,
        )  # fmt: skip
