from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import expit

from tests.zoo import save_tiny
from w2sprobe.errors import InputError
from w2sprobe.models import describe_model
from w2sprobe.training.classifiers import load_classifier
from w2sprobe.training.predict import check_independence, predict
from w2sprobe.training.requirements import check_trainable
from w2sprobe.training.settings import TrainSettings

CPU = torch.device("cpu")
TOKENS = [np.arange(4, 4 + n) for n in (3, 7, 12)]


class CountingClassifier(torch.nn.Module):
    """The log-odds of a row are its number of tokens, plus what its padding adds."""

    def __init__(self, of_padding: float = 0.0) -> None:
        super().__init__()
        self.of_padding = of_padding

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        odds = attention_mask.sum(dim=1) + self.of_padding * (1 - attention_mask).sum(dim=1)
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(odds), odds], dim=1).float())


def test_predictions_are_in_the_order_of_the_rows() -> None:
    lengths = [3, 40, 1, 20, 2]
    classifier = CountingClassifier().train()
    p = predict(classifier, [np.full(n, 5) for n in lengths], pad_id=0, device=CPU)
    np.testing.assert_allclose(p, expit(np.array(lengths, dtype=float)), rtol=1e-12)
    assert p.dtype == np.float64
    assert classifier.training, "the mode is restored"


def test_no_rows_have_no_predictions() -> None:
    assert predict(CountingClassifier(), [], pad_id=0, device=CPU).shape == (0,)


def test_confident_rows_do_not_tie() -> None:
    p = predict(CountingClassifier(), [np.full(n, 5) for n in (30, 31)], pad_id=0, device=CPU)
    assert p[0] < p[1]


@pytest.mark.parametrize(
    ("of_padding", "precision", "fine"),
    [
        (0.0, "float32", True),
        (0.1, "float32", False),
        (0.1, "bfloat16", True),
        (1.0, "bfloat16", False),
    ],
)
def test_logits_that_move_with_padding_are_refused(
    of_padding: float, precision: str, fine: bool
) -> None:
    classifier = CountingClassifier(of_padding)
    options = {"pad_id": 0, "device": CPU, "precision": precision}
    if fine:
        check_independence(classifier, TOKENS, **options)
    else:
        with pytest.raises(InputError, match="in a batch and alone differ"):
            check_independence(classifier, TOKENS, **options)


def test_a_classifier_that_reads_padding_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = describe_model(save_tiny("xlnet", tmp_path / "model"))
    with pytest.raises(InputError, match=r"no classifier .*\(xlnet\)"):
        check_trainable(info, TrainSettings())
    monkeypatch.setattr("w2sprobe.training.requirements.UNTRAINABLE", {})
    check_trainable(info, TrainSettings())
    for model, fine in ((info.source, False), (save_tiny("bert", tmp_path / "bert"), True)):
        network = load_classifier(
            describe_model(model), TrainSettings(), precision="float32", pad_id=0, device=CPU
        )
        options = {"pad_id": 0, "device": CPU, "precision": "float32"}
        if fine:
            check_independence(network, TOKENS, **options)
        else:
            with pytest.raises(InputError, match="in a batch and alone differ"):
                check_independence(network, TOKENS, **options)
