from pathlib import Path

import pytest

from tests.audit.cases import SIZES, make_splits
from tests.tiny import save_tiny_model
from w2sprobe.audit.tokens import count_tokens
from w2sprobe.errors import InputError
from w2sprobe.models import describe_model, load_tokenizer

SMALL = dict.fromkeys(SIZES, 6)


def test_tokens_are_those_of_the_models_tokenizer(tmp_path: Path) -> None:
    model = save_tiny_model("bert", tmp_path)
    splits = make_splits(sizes=SMALL)
    lengths = count_tokens(model, splits, ("val", "test"))
    assert list(lengths.tokens) == ["val", "test"]
    encoded = load_tokenizer(model)(splits.test.texts).input_ids
    assert lengths.tokens["test"].tolist() == [len(ids) for ids in encoded]
    assert lengths.context == describe_model(model).max_tokens == 64
    assert lengths.summary()["longest"] == max(tokens.max() for tokens in lengths.tokens.values())


def test_unknown_model(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        count_tokens(str(tmp_path / "missing"), make_splits(sizes=SMALL))
