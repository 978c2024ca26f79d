"""Every family of the zoo gives the hidden states that transformers gives, or is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from packaging.version import Version
from peft import PeftModel
from transformers import CONFIG_MAPPING, AutoModel, AutoModelForSequenceClassification

from tests.zoo import FAMILIES, MARKS, NUMBERED_BY_OUTPUT, PAGE, WORDS, save_tiny, table
from w2sprobe import extract
from w2sprobe.data import Rows
from w2sprobe.errors import InputError
from w2sprobe.labels import LabelTable
from w2sprobe.models import describe_model, load_tokenizer, read_config, text_model
from w2sprobe.models.families import REFUSED
from w2sprobe.training.classifier_classes import UNTRAINABLE, WITHOUT_PREFIX, has_own_class
from w2sprobe.training.classifiers import forget_base, load_classifier
from w2sprobe.training.predict import predict
from w2sprobe.training.prefix import shared_prefix
from w2sprobe.training.requirements import check_trainable
from w2sprobe.training.saved import SavedModel
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.trainer import finetune

pytestmark = [
    pytest.mark.filterwarnings("ignore:hidden_states.0. of:UserWarning"),
    pytest.mark.filterwarnings("ignore:1 of 1 texts were cut:UserWarning"),
    # of PEFT by itself, about experts that a model does not have
    pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:target_parameters=:RuntimeWarning"),
]
SETTINGS = TrainSettings(epochs=1, batch_size=4, learning_rate=1e-2, precision="float32")
generator = np.random.default_rng(0)
TEXTS = [" ".join(generator.choice(WORDS, size=size)) for size in (1, 9, 2, 7, 5, 3, 11, 4)]
IDS = np.array([f"r{number}" for number in range(len(TEXTS))])
ROWS = Rows(IDS, TEXTS, np.arange(len(TEXTS)) % 2)
LABELS = LabelTable(IDS, np.where(ROWS.labels, 0.8, 0.1))
NOT_TEXT = ("whisper",)


@pytest.fixture(autouse=True)
def _afresh() -> None:
    forget_base()


@pytest.mark.parametrize("family", FAMILIES)
def test_family(family: str, tmp_path: Path) -> None:
    if family not in CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {family}")
    model = save_tiny(family, tmp_path / "model")
    if family in REFUSED or family in NOT_TEXT:
        with pytest.raises(InputError, match=rf"\({family}\): it"):
            describe_model(model)
        return
    check_states(model, tmp_path)
    check_whole_context(model, tmp_path)
    if family in UNTRAINABLE:
        with pytest.raises(InputError, match=rf"no classifier .*\({family}\): its"):
            finetune(model, ROWS, LABELS, ROWS, tmp_path / "run", SETTINGS, device="cpu")
        assert not (tmp_path / "run").exists()
        return
    check_training(model, tmp_path)
    check_prefix(model, tmp_path)


def check_states(model: str, folder: Path) -> None:
    """The store holds what transformers returns for single rows."""
    store = extract(model, ROWS.records(), folder / "store", device="cpu")
    info = describe_model(model)
    assert store.layers == tuple(info.layers)
    network, tokenizer = text_model(AutoModel.from_pretrained(model)).eval(), load_tokenizer(model)
    found = np.stack([store.read(layer) for layer in store.layers])
    for row, text in enumerate(TEXTS):
        with torch.inference_mode():
            output = network(
                **tokenizer(text, return_tensors="pt", return_token_type_ids=False),
                output_hidden_states=True,
                use_cache=False,
            )
        expected = torch.stack([output.hidden_states[layer][0, -1] for layer in info.layers])
        difference = np.linalg.norm(found[:, row] - expected.numpy(), axis=1)
        assert (difference <= 1e-4 * np.linalg.norm(expected.numpy(), axis=1)).all()
    assert np.ptp(found[-1], axis=0).max() > 1e-3, "texts are told apart"
    note = store.manifest["runs"][0]["self_test"]
    family = read_config(model).model_type
    assert (note["layer_0_is_embedding"] is False) == (family in NUMBERED_BY_OUTPUT)


def check_whole_context(model: str, folder: Path) -> None:
    """A text that fills the context runs, whatever the family calls its limit."""
    n_tokens = describe_model(model).max_tokens or 100
    row = {"id": "long", "text": " ".join(["w1"] * (n_tokens + 9))}
    store = extract(model, [row], folder / "long", truncate=True, layers=0, device="cpu")
    assert np.isfinite(store.read(0)).all()


def check_training(model: str, folder: Path) -> None:
    """A run's predictions are a row's own, and come back from its folder, by plain PEFT too."""
    saved = finetune(model, ROWS, LABELS, ROWS, folder / "run", SETTINGS, device="cpu")
    found = saved.predict(ROWS).soft_label
    tokens = [np.array(load_tokenizer(model)(text)["input_ids"]) for text in TEXTS]
    alone = np.concatenate([saved.predict_tokens([row]) for row in tokens])
    spread = np.ptp(alone)
    assert spread > 0
    np.testing.assert_allclose(found, alone, rtol=0, atol=0.02 * spread + 1e-7)
    forget_base()
    again = SavedModel.open(folder / "run", "cpu").predict(ROWS).soft_label
    np.testing.assert_array_equal(again, found)
    if has_own_class(read_config(model)):
        base = AutoModelForSequenceClassification.from_pretrained(
            model, num_labels=2, attn_implementation="eager"
        )
        plain = PeftModel.from_pretrained(base, folder / "run/adapter").eval()
        with torch.inference_mode():
            logits = torch.cat([plain(input_ids=torch.tensor(row[None])).logits for row in tokens])
        expected = logits.double().softmax(dim=1)[:, 1].numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.02 * spread + 1e-7)


def check_prefix(model: str, folder: Path) -> None:
    """LoRA on the upper blocks alone predicts the same from what the lower ones hand on."""
    info, cpu = describe_model(model), torch.device("cpu")
    settings = SETTINGS.model_copy(update={"lora_from_layer": 2})
    try:
        check_trainable(info, settings)
    except InputError:
        return
    given = {"precision": "float32", "pad_id": info.pad_id, "device": cpu}
    network = load_classifier(info, settings, **given)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    tokens = [np.array(load_tokenizer(model)(text)["input_ids"]) for text in TEXTS]
    options = {"pad_id": info.pad_id, "device": cpu}
    expected = predict(network, tokens, **options)
    prefix = shared_prefix(network, info, 2, tokens, folder=folder, **given)
    found = predict(network, tokens, feeding=prefix.feeding, **options)
    prefix.detach()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_page_has_the_table() -> None:
    """`python -m tests.zoo` writes it anew."""
    assert f"{MARKS[0]}\n{table()}{MARKS[1]}" in PAGE.read_text(encoding="utf-8")


def test_the_zoo_is_large() -> None:
    assert len(set(FAMILIES)) == len(FAMILIES) >= 100


@pytest.mark.parametrize("family", [*REFUSED, *UNTRAINABLE, *sorted(WITHOUT_PREFIX)])
def test_the_tables_name_families_of_transformers(family: str) -> None:
    if family in CONFIG_MAPPING:
        assert CONFIG_MAPPING[family].model_type == family
    else:  # a release before the family
        assert Version(transformers.__version__) < Version("5.24")
