from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForSequenceClassification

from tests.zoo import save_tiny
from w2sprobe.errors import InputError
from w2sprobe.models import read_config
from w2sprobe.training.classifier_classes import (
    LastTokenHead,
    check_eos_tokens,
    classifier_class,
    has_own_class,
)


def test_a_text_with_a_second_end_of_text_token_is_named(tmp_path: Path) -> None:
    config = read_config(save_tiny("t5", tmp_path / "model"))
    rows = [np.array([5, 6, 3]), np.array([5, 3, 6, 3])]
    check_eos_tokens(config, ["a", "b"], rows[:1])
    with pytest.raises(InputError, match=r"row 'b' \(and 0 more\) has 2 end-of-text tokens"):
        check_eos_tokens(config, ["a", "b"], rows)
    # no other family minds
    check_eos_tokens(read_config(save_tiny("llama", tmp_path / "llama")), ["a", "b"], rows)


def test_a_family_with_a_classifier_keeps_it(tmp_path: Path) -> None:
    config = read_config(save_tiny("llama", tmp_path / "model"))
    assert has_own_class(config)
    assert classifier_class(config) is LlamaForSequenceClassification


def test_a_family_without_a_classifier_gets_a_linear_head(tmp_path: Path) -> None:
    config = read_config(save_tiny("granite", tmp_path / "model"))
    assert not has_own_class(config)
    made = classifier_class(config)
    assert issubclass(made, LastTokenHead)
    assert made.__name__ == "GraniteForSequenceClassification"
    assert classifier_class(config) is made, "one class for each family"


def test_a_linear_head_reads_the_last_token_before_the_padding(tmp_path: Path) -> None:
    config = read_config(save_tiny("granite", tmp_path / "model"))
    torch.manual_seed(0)
    classifier = classifier_class(config)(config).eval()
    ids = torch.tensor([[5, 6, 7, 0, 0], [5, 6, 7, 8, 9]])
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    with torch.inference_mode():
        together = classifier(ids, mask).logits
        alone = classifier(ids[:1, :3]).logits
    assert together.shape == (2, 2)
    torch.testing.assert_close(together[:1], alone, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(together[0], together[1])
