"""Cues of the format as numbers."""

import numpy as np

from w2sprobe.audit.cues import CUES, fit_cues

ASKED = ["Pick one.\n(A) red\n(B) blue\n(C) green\nAnswer: red", "Pick one.\nA) red\nAnswer: red"]
SENTENCES = ["The room was cold.", "We liked it!", "The food - and the wine - was good."]


def test_every_cue_that_varies_has_columns_and_a_fact() -> None:
    texts = [f"{opening} {'very ' * (n % 7)}good{ending}" for n in range(60)
             for opening, ending in [("The", ".") if n % 2 else ("A", "!")]]  # fmt: skip
    cues = fit_cues(texts)
    assert [*cues] == ["length", "template"], "no options"
    length, template = cues["length"](texts), cues["template"](texts)
    assert length.values.shape == (60, 4 + 3 * 4)
    characters = [len(text) for text in texts]
    assert length.about == f"more than {int(np.median(characters))} characters"
    assert (length.target == (np.array(characters) > np.median(characters))).all()
    assert template.values.shape == (60, 4), "two openings, two endings"
    assert template.about in ("begins with 'The'", "begins with 'A'")
    assert template.target.sum() == 30


def test_options_are_counted_at_the_start_of_lines() -> None:
    texts = [*ASKED, "- one\n- two", "1. one\n2. two\n3. three\n4. four", *SENTENCES] * 10
    options = fit_cues(texts)["options"]
    counts = options([*ASKED, "- one\n- two", "1. one\n2. two", *SENTENCES]).values[:, 0]
    assert counts.tolist() == [3, 1, 2, 2, 0, 0, 0]


def test_new_texts_are_written_as_the_training_texts_were() -> None:
    cues = fit_cues(SENTENCES * 20 + ASKED * 20)
    assert [*cues] == [*CUES]
    for encode in cues.values():
        few, many = encode(["", "Other words ?"]), encode(SENTENCES * 20)
        assert few.values.shape == (2, many.values.shape[1])
        assert few.about == many.about
        assert np.isfinite(few.values).all()
    assert not cues["template"](["Unseen words ?"]).values.any()


def test_texts_of_one_form_have_no_cue() -> None:
    assert fit_cues(["The room was cold."] * 30) == {}
