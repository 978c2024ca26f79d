import dataclasses
import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from tests.tiny import CONFIGS, save_tiny_model, sentences
from w2sprobe.data import Rows
from w2sprobe.errors import IdMismatch, InputError, W2SProbeError
from w2sprobe.labels import LabelTable
from w2sprobe.models import describe_model, load_tokenizer
from w2sprobe.training import checkpoints
from w2sprobe.training import trainer as trainer_module
from w2sprobe.training.batches import micro_batches
from w2sprobe.training.classifiers import load_classifier
from w2sprobe.training.loop import BatchTrainer
from w2sprobe.training.losses import LOSSES
from w2sprobe.training.predict import predict
from w2sprobe.training.prefix import Prefix
from w2sprobe.training.saved import SavedModel, read_validation
from w2sprobe.training.settings import STOPPING_RULES, VAL_SCORES, StoppingRule, TrainSettings
from w2sprobe.training.stopping import validation_scores
from w2sprobe.training.trainer import finetune

SETTINGS = TrainSettings(epochs=2, batch_size=8, learning_rate=1e-2, precision="float32")


def rows(n: int, seed: int, tag: str) -> Rows:
    texts = sentences(n, seed=seed)
    labels = np.array([("good" in text or "great" in text) for text in texts], dtype=np.int64)
    return Rows(ids=np.array([f"{tag}{i}" for i in range(n)]), texts=texts, labels=labels)


TRAIN, VAL = rows(40, 1, "t"), rows(30, 2, "v")
TRUTH = LabelTable([*TRAIN.ids, *VAL.ids], [*TRAIN.labels, *VAL.labels])


def weights(folder: Path) -> bytes:
    return (folder / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.mark.parametrize("architecture", CONFIGS)
def test_every_architecture_trains_saves_and_loads(architecture: str, tmp_path: Path) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    trained = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)
    table = trained.predict(VAL)
    assert table.ids.tolist() == VAL.ids.tolist()
    assert np.ptp(table.soft_label) > 0
    # an ordinary PEFT folder: loads without this package, head included
    base = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2, pad_token_id=0)
    plain = PeftModel.from_pretrained(base, tmp_path / "run" / "adapter").eval()
    tokenizer = load_tokenizer(model)
    tokens = [tokenizer(text)["input_ids"] for text in VAL.texts]
    again = predict(plain, tokens, pad_id=0, device=torch.device("cpu"))
    np.testing.assert_allclose(again, table.soft_label, atol=1e-5)


def test_lora_reaches_the_seven_projections_of_every_block(tmp_path: Path) -> None:
    info = describe_model(save_tiny_model("llama", tmp_path / "model"))
    classifier = load_classifier(
        info, SETTINGS, precision="float32", pad_id=0, device=torch.device("cpu")
    )
    adapted = [name for name, _ in classifier.named_modules() if name.endswith("lora_A.default")]
    assert len(adapted) == 7 * info.n_layers
    trained = {n for n, p in classifier.named_parameters() if p.requires_grad}
    assert all("lora_" in name or "score" in name for name in trained)
    assert any("score" in name for name in trained)


def test_the_same_run_twice_is_bit_for_bit_the_same(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    for name in ("one", "two"):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / name, SETTINGS)
    assert weights(tmp_path / "one") == weights(tmp_path / "two")
    other = SETTINGS.model_copy(update={"seed": 1})
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "three", other)
    assert weights(tmp_path / "one") != weights(tmp_path / "three")


def test_settings_know_every_loss() -> None:
    assert get_args(TrainSettings.model_fields["loss"].annotation) == LOSSES


def test_micro_batches_add_up_to_the_batch(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    whole, cut = (
        finetune(
            model,
            TRAIN,
            TRUTH,
            VAL,
            tmp_path / str(tokens),
            SETTINGS.model_copy(update={"micro_batch_tokens": tokens}),
        )
        for tokens in (10_000, 1)
    )
    np.testing.assert_allclose(whole.record["train_loss"], cut.record["train_loss"], rtol=1e-4)
    np.testing.assert_allclose(
        whole.predict(VAL).soft_label, cut.predict(VAL).soft_label, atol=1e-3
    )


def test_a_batch_is_cut_without_losing_rows() -> None:
    examples = [{"input_ids": [1] * n, "soft_label": n / 10, "position": n} for n in (1, 9, 3, 7)]
    parts = [part for part, counts in micro_batches(examples, pad_id=0, max_tokens=8) if counts]
    found = torch.cat([part["soft_label"] for part in parts])
    assert sorted(round(x, 1) for x in found.tolist()) == [0.1, 0.3, 0.7, 0.9]
    for part in parts:
        lengths = part["attention_mask"].sum(dim=1)
        np.testing.assert_allclose(lengths / 10, part["soft_label"])


def test_training_learns_what_the_labels_say(tmp_path: Path) -> None:
    model = save_tiny_model("bert", tmp_path / "model")
    long = SETTINGS.model_copy(update={"epochs": 20})
    trained = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", long)
    assert trained.record["train_loss"][-1] < 0.7 * trained.record["train_loss"][0]
    assert trained.record["chosen_epoch"] == 1 + int(np.argmax(trained.record["val_soft_auc"]))


def test_filtered_rows_do_not_enter(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    keep = np.ones(len(TRUTH.ids), dtype=bool)
    keep[:20] = False
    flipped = TRUTH.soft_label.copy()
    flipped[:20] = 1 - flipped[:20]
    runs = []
    for name, soft in (("one", TRUTH.soft_label), ("two", flipped)):
        table = LabelTable(TRUTH.ids, soft, keep)
        runs.append(finetune(model, TRAIN, table, VAL, tmp_path / name, SETTINGS))
    assert runs[0].record["n_rows"] == 20
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


def test_rows_own_labels_are_not_read(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    turned = [dataclasses.replace(part, labels=1 - part.labels) for part in (TRAIN, VAL)]
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "one", SETTINGS)
    finetune(model, turned[0], TRUTH, turned[1], tmp_path / "two", SETTINGS)
    assert weights(tmp_path / "one") == weights(tmp_path / "two")


def test_validation_does_not_touch_the_loss(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SETTINGS.model_copy(update={"loss": "logconf"})
    more = rows(10, 3, "w")
    both = LabelTable.concatenate([TRUTH, LabelTable(more.ids, more.labels)])
    one = finetune(model, TRAIN, both, VAL, tmp_path / "one", settings)
    two = finetune(model, TRAIN, both, more, tmp_path / "two", settings)
    assert one.record["train_loss"] == two.record["train_loss"]


def test_an_adapter_that_does_not_reproduce_the_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")

    def forgetful(*arguments: object, **options: object) -> PeftModel:
        classifier = load(*arguments, **options)
        with torch.no_grad():
            for name, parameter in classifier.named_parameters():
                if "score" in name:
                    parameter.normal_()
        return classifier

    load = trainer_module.load_trained
    monkeypatch.setattr(trainer_module, "load_trained", forgetful)
    with pytest.raises(W2SProbeError, match="predicts differently"):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run" / "training.json").exists()


def test_a_loss_that_is_not_finite_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    monkeypatch.setattr(
        trainer_module, "make_loss", lambda *_: lambda logits, soft, ramp: logits.sum() * np.nan
    )
    with pytest.raises(W2SProbeError, match=r"loss is nan at step 1, .* rows 't\d+'.*\(and 5 more"):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)


def out_of_memory_beyond(tokens: int, patch: pytest.MonkeyPatch) -> None:
    """Training finds no room for more than so many tokens at once, padding included."""
    embed = torch.nn.Embedding.forward

    def scarce(module: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
        if module.training and ids.numel() > tokens:
            raise torch.OutOfMemoryError("no room")
        return embed(module, ids)

    patch.setattr(torch.nn.Embedding, "forward", scarce)


def test_micro_batches_are_halved_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    plain = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "plain", SETTINGS)
    out_of_memory_beyond(40, monkeypatch)
    halved = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "halved", SETTINGS)
    assert halved.record["micro_batch_tokens"] < plain.record["micro_batch_tokens"] == 512
    assert halved.record["n_steps"] == plain.record["n_steps"], "the same effective batches"
    np.testing.assert_allclose(
        halved.predict(VAL).soft_label, plain.predict(VAL).soft_label, atol=1e-3
    )


def test_a_row_that_does_not_fit_is_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    out_of_memory_beyond(10, monkeypatch)
    with pytest.raises(torch.OutOfMemoryError):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)


def test_checkpoints_of_another_run_are_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    with monkeypatch.context() as patch:
        patch.setattr(
            trainer_module, "make_loss", lambda *_: lambda logits, soft, ramp: logits.sum() * np.nan
        )
        with pytest.raises(W2SProbeError, match="loss is nan"):
            finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)
    other = SETTINGS.model_copy(update={"seed": 1})
    with pytest.raises(InputError, match="an unfinished run with other rows"):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", other)
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)


def test_the_record_says_what_was_done(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert record["settings"] == SETTINGS.model_dump()
    assert (record["n_rows"], record["n_steps"], record["precision"]) == (40, 10, "float32")
    assert record["val_step"] == [5, 10]
    assert all(len(record[name]) == 2 for name in VAL_SCORES)
    assert record["warnings"] == []


@pytest.mark.parametrize(
    ("labels", "settings", "error", "part"),
    [
        (LabelTable(TRAIN.ids, TRAIN.labels), SETTINGS, IdMismatch, "no label for ids 'v0'"),
        (
            LabelTable(TRUTH.ids, TRUTH.soft_label, np.zeros(70, dtype=bool)),
            SETTINGS,
            InputError,
            "no rows left",
        ),
        (TRUTH, SETTINGS.model_copy(update={"loss": "hinge"}), InputError, "'hinge'"),
    ],
)
def test_what_does_not_fit_is_refused(
    labels: LabelTable, settings: TrainSettings, error: type, part: str, tmp_path: Path
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    with pytest.raises(error, match=part):
        finetune(model, TRAIN, labels, VAL, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("architecture", CONFIGS)
def test_a_prefix_computed_once_changes_nothing(
    architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without dropout, which a prefix leaves out: the same run as one that computes every block."""
    model = save_tiny_model(architecture, tmp_path / "model")
    upper = SETTINGS.model_copy(update={"lora_from_layer": 2})
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.Dropout, "forward", lambda _, x: x)
        patch.setattr(torch.nn.functional, "dropout", lambda x, *_, **__: x)
        cached = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "cached", upper)
        patch.setattr(trainer_module, "shared_prefix", lambda *_, **__: None)
        plain = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "plain", upper)
    np.testing.assert_allclose(cached.record["train_loss"], plain.record["train_loss"], rtol=1e-4)
    np.testing.assert_allclose(
        cached.predict(VAL).soft_label, plain.predict(VAL).soft_label, atol=1e-4
    )
    assert not (tmp_path / "cached" / "checkpoints").exists()


def test_a_prefix_is_shared_by_runs_on_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    upper = SETTINGS.model_copy(update={"lora_from_layer": 1})
    place = tmp_path / "prefixes"
    first = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "1", upper, prefixes=place)
    monkeypatch.setattr(Prefix, "_compute", None)  # not called again
    flipped = LabelTable(TRUTH.ids, 1 - TRUTH.soft_label)
    finetune(model, TRAIN, flipped, VAL, tmp_path / "2", upper, prefixes=place)
    again = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "3", upper, prefixes=place)
    assert len(list(place.iterdir())) == 1
    assert weights(tmp_path / "1") == weights(tmp_path / "3") != weights(tmp_path / "2")
    np.testing.assert_array_equal(first.predict(VAL).soft_label, again.predict(VAL).soft_label)
    other = upper.model_copy(update={"lora_from_layer": 2})
    with pytest.raises(TypeError):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "4", other, prefixes=place)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_predictions_share_a_prefix_too(
    architecture: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    changes = {"lora_from_layer": 2, "epochs": 1, "precision": precision}
    place = tmp_path / "prefixes"
    run = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS.model_copy(update=changes))
    whole = run.predict(VAL)
    shared = run.predict(VAL, prefixes=place)
    # the same batches, so bfloat16 rounds alike
    np.testing.assert_allclose(shared.soft_label, whole.soft_label, atol=1e-6)
    np.testing.assert_array_equal(run.predict(VAL).soft_label, whole.soft_label)  # detached
    monkeypatch.setattr(Prefix, "_compute", None)  # not called again
    again = SavedModel.open(tmp_path / "run").predict(VAL, prefixes=place)
    np.testing.assert_array_equal(again.soft_label, shared.soft_label)


def test_predictions_of_all_blocks_have_no_prefix(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SETTINGS.model_copy(update={"epochs": 1})
    run = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", settings)
    run.predict(VAL, prefixes=tmp_path / "prefixes")
    assert not (tmp_path / "prefixes").exists()


def test_lora_starts_at_the_block_asked_for(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    upper = SETTINGS.model_copy(update={"lora_from_layer": 2, "epochs": 1})
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", upper)
    adapter = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    blocks = {name.split("layers.")[1].split(".")[0] for name in adapter if "lora_" in name}
    assert blocks == {"2"}
    above = SETTINGS.model_copy(update={"lora_from_layer": 3})
    with pytest.raises(InputError, match=r"--lora-from-layer is 3.*0 to 2"):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "other", above)


def test_validation_rows_are_evaluated_every_so_many_steps(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    often = SETTINGS.model_copy(update={"eval_every": 3})
    run = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "often", often)
    assert run.record["val_step"] == [3, 6, 9, 10]
    assert run.record["chosen_step"] in (3, 6, 9, 10)
    rarely = SETTINGS.model_copy(update={"eval_every": 100})
    assert finetune(model, TRAIN, TRUTH, VAL, tmp_path / "r", rarely).record["chosen_step"] == 10


@pytest.mark.parametrize("architecture", CONFIGS)
def test_full_finetuning_leaves_an_ordinary_model(architecture: str, tmp_path: Path) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    full = SETTINGS.model_copy(update={"full": True, "learning_rate": 1e-3})
    trained = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", full)
    assert not (tmp_path / "run/adapter").exists()
    table = trained.predict(VAL)
    # loads without this package, and predicts without the base it came from
    whole = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run/model").eval()
    tokenizer = load_tokenizer(str(tmp_path / "run/model"))
    tokens = [tokenizer(text)["input_ids"] for text in VAL.texts]
    pad_id = whole.config.pad_token_id
    again = predict(whole, tokens, pad_id=pad_id, device=torch.device("cpu"))
    np.testing.assert_allclose(again, table.soft_label, atol=1e-5)
    (tmp_path / "model").rename(tmp_path / "elsewhere")
    opened = SavedModel.open(tmp_path / "run").predict(VAL)
    np.testing.assert_array_equal(opened.soft_label, table.soft_label)


def test_full_finetuning_moves_every_layer(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    full = SETTINGS.model_copy(update={"full": True, "epochs": 1})
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", full)
    before = load_file(tmp_path / "model/model.safetensors")
    after = load_file(tmp_path / "run/model/model.safetensors")
    kept = [name for name in before if name in after and torch.equal(before[name], after[name])]
    assert kept == []


@pytest.mark.parametrize(
    "change", [{}, {"full": True}, {"lora_from_layer": 1}], ids=["lora", "full", "prefix"]
)
@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_gradient_checkpointing_changes_no_weight(
    architecture: str, change: dict[str, object], tmp_path: Path
) -> None:
    model = save_tiny_model(architecture, tmp_path / "model")
    found = []
    for checkpointing in (False, True):
        settings = TrainSettings(
            **{**SETTINGS.model_dump(), **change, "gradient_checkpointing": checkpointing}
        )
        out = tmp_path / str(checkpointing)
        finetune(model, TRAIN, TRUTH, VAL, out, settings)
        found.append([file.read_bytes() for file in sorted(out.glob("*/*model.safetensors"))])
    assert found[0] == found[1] != []


def test_gradient_checkpointing_computes_blocks_again(tmp_path: Path) -> None:
    """So that the test above compares two things."""
    info = describe_model(save_tiny_model("llama", tmp_path / "model"))
    settings = SETTINGS.model_copy(update={"gradient_checkpointing": True})
    classifier = load_classifier(
        info, settings, precision="float32", pad_id=0, device=torch.device("cpu")
    ).train()
    calls = []
    classifier.get_base_model().model.layers[1].mlp.register_forward_pre_hook(
        lambda *_: calls.append(1)
    )
    classifier(torch.tensor([[5, 6, 7]])).logits.sum().backward()
    assert len(calls) == 2


def test_curves_go_to_tensorboard(tmp_path: Path) -> None:
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SETTINGS.model_copy(update={"report_to": "tensorboard"})
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "watched", settings)
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "plain", SETTINGS)
    assert weights(tmp_path / "watched") == weights(tmp_path / "plain")
    log = events.EventAccumulator(str(tmp_path / "watched/logs"))
    log.Reload()
    assert [event.step for event in log.Scalars("train/loss")] == list(range(1, 11))
    assert [event.step for event in log.Scalars("eval/auc")] == [5, 10]


def test_four_bits_train_and_come_back(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes")
    # with AVX512-bfloat16, bitsandbytes packs weights in blocks of 64
    model = save_tiny_model(
        "llama", tmp_path / "model", hidden_size=64, intermediate_size=64, head_dim=32
    )
    settings = SETTINGS.model_copy(update={"precision": "4bit"})
    table = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", settings).predict(VAL)
    assert np.ptp(table.soft_label) > 0
    opened = SavedModel.open(tmp_path / "run").predict(VAL)
    np.testing.assert_allclose(opened.soft_label, table.soft_label, atol=1e-6)


def test_the_record_holds_the_radius_that_auto_found(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    soft = np.linspace(0, 1, len(TRUTH.ids))
    settings = SETTINGS.model_copy(update={"loss": "window", "epochs": 1})
    table = LabelTable(TRUTH.ids, soft)
    record = finetune(model, TRAIN, table, VAL, tmp_path / "run", settings).record
    kept = table.align(TRAIN.ids).soft_label
    assert record["window_radius"] == pytest.approx(np.median(np.abs(kept - 0.5)))


def test_a_finished_run_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    first = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS).predict(VAL)
    other = SETTINGS.model_copy(update={"seed": 1})
    with pytest.raises(InputError, match="a finished run with other rows"):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", other)
    monkeypatch.setattr(trainer_module, "BatchTrainer", None)  # calling it would raise
    again = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS).predict(VAL)
    np.testing.assert_array_equal(again.soft_label, first.soft_label)


def test_another_device_than_the_first_is_refused() -> None:
    class Second:
        type, index = "cuda", 1

    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES=1"):
        trainer_module._arguments(SETTINGS, 8, Second(), Path("run"))


# rank as truth does, on both sides of one half or below it
ACROSS, BELOW = (LabelTable(TRUTH.ids, low + 0.2 * TRUTH.soft_label) for low in (0.4, 0.2))
SIX = SETTINGS.model_copy(update={"epochs": 6})
NOTHING = "early stopping by .* had nothing to go by"


def best_of(record: dict, rule: StoppingRule) -> int:
    values = record[f"val_{rule}"]
    return int(np.argmin(values) if rule == "log_loss" else np.argmax(values))


@pytest.mark.parametrize("rule", STOPPING_RULES)
def test_the_evaluation_is_kept_that_its_rule_prefers(rule: StoppingRule, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SIX.model_copy(update={"early_stopping": rule})
    record = finetune(model, TRAIN, ACROSS, VAL, tmp_path / "run", settings).record
    assert record["chosen_step"] == record["val_step"][best_of(record, rule)]
    assert record["chosen_epoch"] == 1 + best_of(record, rule)
    assert record["warnings"] == []


@pytest.mark.filterwarnings(f"ignore:{NOTHING}")
@pytest.mark.parametrize("labels", [ACROSS, BELOW], ids=["across", "below"])
@pytest.mark.parametrize("rule", STOPPING_RULES)
def test_an_interrupted_run_keeps_what_an_uninterrupted_one_keeps(
    rule: StoppingRule, labels: LabelTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SIX.model_copy(update={"early_stopping": rule, "epochs": 4})
    whole = finetune(model, TRAIN, labels, VAL, tmp_path / "whole", settings)
    step = BatchTrainer.training_step

    def interrupted(self: BatchTrainer, *arguments: object, **options: object) -> torch.Tensor:
        if self.state.global_step == 12:  # in the third of four epochs
            raise KeyboardInterrupt
        return step(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(BatchTrainer, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            finetune(model, TRAIN, labels, VAL, tmp_path / "run", settings)
    again = finetune(model, TRAIN, labels, VAL, tmp_path / "run", settings)
    assert again.record == whole.record
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_the_predictions_of_every_evaluation_are_kept(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    saved = finetune(model, TRAIN, ACROSS, VAL, tmp_path / "run", SIX)
    found, record = read_validation(tmp_path / "run"), saved.record
    assert list(found) == record["val_step"]
    given = ACROSS.align(VAL.ids)
    for number, table in enumerate(found.values()):
        assert table.ids.tolist() == VAL.ids.tolist()
        scores = validation_scores(given, table.soft_label)
        assert scores == {rule: record[f"val_{rule}"][number] for rule in STOPPING_RULES}
    chosen = found[record["chosen_step"]].soft_label
    np.testing.assert_allclose(chosen, saved.predict(VAL).soft_label, atol=1e-6)


def test_a_run_that_an_earlier_version_began_ends_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(folder: Path, keep: set[str]) -> None:
        for checkpoint in folder.glob("checkpoint-*"):
            if checkpoint.name not in keep:
                shutil.rmtree(checkpoint)

    monkeypatch.setattr(checkpoints, "prune", remove)
    model = save_tiny_model("llama", tmp_path / "model")
    saved = finetune(model, TRAIN, ACROSS, VAL, tmp_path / "run", SIX)
    assert saved.record["val_step"] == [5, 10, 15, 20, 25, 30]
    assert read_validation(tmp_path / "run") == {}


def test_labels_on_one_side_choose_as_those_on_both(tmp_path: Path) -> None:
    """The training rows have the same labels, so that predictions are the same."""
    model = save_tiny_model("llama", tmp_path / "model")
    records = []
    for name, val in (("across", ACROSS), ("below", BELOW)):
        labels = LabelTable.concatenate([ACROSS.align(TRAIN.ids), val.align(VAL.ids)])
        records.append(finetune(model, TRAIN, labels, VAL, tmp_path / name, SIX).record)
    across, below = records
    assert across["train_loss"] == below["train_loss"]
    assert below["val_auc"] == [None] * 6
    assert None not in across["val_auc"]
    assert below["chosen_step"] == across["chosen_step"]
    assert below["warnings"] == []


@pytest.mark.parametrize(
    ("rule", "labels"),
    [
        ("auc", BELOW),
        ("auc", LabelTable(TRUTH.ids, 0.8 + 0.2 * TRUTH.soft_label)),
        ("soft_auc", LabelTable(TRUTH.ids, np.r_[TRAIN.labels, np.zeros(len(VAL))])),
    ],
    ids=["below", "above", "all 0"],
)
def test_a_rule_with_nothing_to_go_by_keeps_the_last_and_says_so(
    rule: StoppingRule, labels: LabelTable, tmp_path: Path
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SIX.model_copy(update={"early_stopping": rule, "epochs": 3})
    with pytest.warns(UserWarning, match=NOTHING):
        finetune(model, TRAIN, labels, VAL, tmp_path / "run", settings)
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert record[f"val_{rule}"] == [None, None, None]
    assert None not in record["val_log_loss"]
    assert record["chosen_epoch"] == 3
    (message,) = record["warnings"]
    assert f"by {rule} had nothing to go by" in message


@pytest.mark.filterwarnings(f"ignore:{NOTHING}")
@pytest.mark.parametrize("rule", STOPPING_RULES)
@pytest.mark.parametrize("n", [1, 2])
def test_few_validation_rows_are_enough_to_train(
    n: int, rule: StoppingRule, tmp_path: Path
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SETTINGS.model_copy(update={"early_stopping": rule})
    few = VAL.select(range(n))
    record = finetune(model, TRAIN, ACROSS, few, tmp_path / "run", settings).record
    assert len(record["val_log_loss"]) == 2
    assert (record["val_soft_auc"][0] is None) == (n == 1)


def test_no_validation_rows_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    with pytest.raises(InputError, match="no validation rows"):
        finetune(model, TRAIN, TRUTH, VAL.select([]), tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rule", STOPPING_RULES)
def test_of_constant_predictions_the_first_is_kept(
    rule: StoppingRule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    settings = SETTINGS.model_copy(update={"early_stopping": rule})

    def constant(_: object, rows: list, **__: object) -> np.ndarray:
        return np.full(len(rows), 0.5)

    monkeypatch.setattr(trainer_module, "predict", constant)
    record = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", settings).record
    assert record["val_auc"] == record["val_soft_auc"] == [0.5, 0.5]
    assert record["chosen_epoch"] == 1
