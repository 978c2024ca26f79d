import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from tests.tiny import CONFIGS, save_tiny_model
from tests.training.cases import SETTINGS, TRAIN, TRUTH, VAL, make_rows, weights
from w2sprobe.errors import IdMismatch, InputError, W2SProbeError
from w2sprobe.labels import LabelTable
from w2sprobe.models import describe_model, load_tokenizer
from w2sprobe.training import trainer as trainer_module
from w2sprobe.training.classifiers import load_classifier
from w2sprobe.training.loop import BatchTrainer
from w2sprobe.training.predict import predict
from w2sprobe.training.saved import SavedModel, read_validation
from w2sprobe.training.settings import STOPPING_RULES, VAL_SCORES, StoppingRule, TrainSettings
from w2sprobe.training.stopping import validation_scores
from w2sprobe.training.trainer import finetune


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model("llama", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def plain(model: str, tmp_path_factory: pytest.TempPathFactory) -> SavedModel:
    """A finished run that others are compared with; tests must not write to its folder."""
    return finetune(model, TRAIN, TRUTH, VAL, tmp_path_factory.mktemp("plain") / "run", SETTINGS)


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


def test_the_same_run_twice_is_bit_for_bit_the_same(
    model: str, plain: SavedModel, tmp_path: Path
) -> None:
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "again", SETTINGS)
    assert weights(tmp_path / "again") == weights(plain.folder)
    other = SETTINGS.model_copy(update={"seed": 1})
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "other", other)
    assert weights(tmp_path / "other") != weights(plain.folder)


def test_micro_batches_add_up_to_the_batch(model: str, plain: SavedModel, tmp_path: Path) -> None:
    row_by_row = SETTINGS.model_copy(update={"micro_batch_tokens": 1})
    cut = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", row_by_row)
    np.testing.assert_allclose(plain.record["train_loss"], cut.record["train_loss"], rtol=1e-4)
    np.testing.assert_allclose(
        plain.predict(VAL).soft_label, cut.predict(VAL).soft_label, atol=1e-3
    )


def test_training_learns_what_the_labels_say(tmp_path: Path) -> None:
    model = save_tiny_model("bert", tmp_path / "model")
    long = SETTINGS.model_copy(update={"epochs": 10, "learning_rate": 2e-2})
    trained = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", long)
    assert trained.record["train_loss"][-1] < 0.7 * trained.record["train_loss"][0]
    assert trained.record["chosen_epoch"] == 1 + int(np.argmax(trained.record["val_soft_auc"]))


def test_filtered_rows_are_not_trained_on(model: str, tmp_path: Path) -> None:
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


def test_true_labels_of_the_rows_are_not_read(
    model: str, plain: SavedModel, tmp_path: Path
) -> None:
    turned = [dataclasses.replace(part, labels=1 - part.labels) for part in (TRAIN, VAL)]
    finetune(model, turned[0], TRUTH, turned[1], tmp_path / "run", SETTINGS)
    assert weights(tmp_path / "run") == weights(plain.folder)


def test_validation_does_not_touch_the_loss(model: str, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"loss": "logconf"})
    more = make_rows(10, 3, "w")
    both = LabelTable.concatenate([TRUTH, LabelTable(more.ids, more.labels)])
    one = finetune(model, TRAIN, both, VAL, tmp_path / "one", settings)
    two = finetune(model, TRAIN, both, more, tmp_path / "two", settings)
    assert one.record["train_loss"] == two.record["train_loss"]


def test_an_adapter_that_does_not_reproduce_the_run_is_refused(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        trainer_module, "make_loss", lambda *_: lambda logits, soft, ramp: logits.sum() * np.nan
    )
    with pytest.raises(W2SProbeError, match=r"loss is nan at step 1, .* rows 't\d+'.*\(and 5 more"):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)


def out_of_memory_beyond(tokens: int, patch: pytest.MonkeyPatch) -> None:
    """Make training run out of memory above a number of tokens, padding included."""
    embed = torch.nn.Embedding.forward

    def scarce(module: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
        if module.training and ids.numel() > tokens:
            raise torch.OutOfMemoryError("no room")
        return embed(module, ids)

    patch.setattr(torch.nn.Embedding, "forward", scarce)


def test_micro_batches_are_halved_where_memory_is_short(
    model: str, plain: SavedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_memory_beyond(40, monkeypatch)
    halved = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "halved", SETTINGS)
    assert halved.record["micro_batch_tokens"] < plain.record["micro_batch_tokens"] == 512
    assert halved.record["n_steps"] == plain.record["n_steps"], "the same effective batches"
    np.testing.assert_allclose(
        halved.predict(VAL).soft_label, plain.predict(VAL).soft_label, atol=1e-3
    )


def test_out_of_memory_is_raised_if_a_single_row_does_not_fit(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_memory_beyond(10, monkeypatch)
    with pytest.raises(torch.OutOfMemoryError):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)


def test_checkpoints_of_another_run_are_refused(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            trainer_module, "make_loss", lambda *_: lambda logits, soft, ramp: logits.sum() * np.nan
        )
        with pytest.raises(W2SProbeError, match="loss is nan"):
            finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)
    other = SETTINGS.model_copy(update={"seed": 1})
    with pytest.raises(InputError, match="the folder holds an unfinished run with other rows"):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", other)
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", SETTINGS)


def test_the_record_says_what_was_done(plain: SavedModel) -> None:
    record = json.loads((plain.folder / "training.json").read_text())
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
def test_bad_input_is_refused(
    model: str, labels: LabelTable, settings: TrainSettings, error: type, part: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=part):
        finetune(model, TRAIN, labels, VAL, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_lora_starts_at_the_requested_block(model: str, tmp_path: Path) -> None:
    upper = SETTINGS.model_copy(update={"lora_from_layer": 2, "epochs": 1})
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", upper)
    adapter = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    blocks = {name.split("layers.")[1].split(".")[0] for name in adapter if "lora_" in name}
    assert blocks == {"2"}
    above = SETTINGS.model_copy(update={"lora_from_layer": 3})
    with pytest.raises(InputError, match=r"--lora-from-layer is 3.*0 to 2"):
        finetune(model, TRAIN, TRUTH, VAL, tmp_path / "other", above)


def test_validation_rows_are_evaluated_every_so_many_steps(model: str, tmp_path: Path) -> None:
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


def test_full_finetuning_moves_every_layer(model: str, tmp_path: Path) -> None:
    full = SETTINGS.model_copy(update={"full": True, "epochs": 1})
    finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", full)
    before = load_file(Path(model) / "model.safetensors")
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
    """Otherwise the test above would compare a run with itself."""
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


def test_four_bit_models_train_save_and_load(tmp_path: Path) -> None:
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


def test_the_record_holds_the_radius_that_auto_found(model: str, tmp_path: Path) -> None:
    soft = np.linspace(0, 1, len(TRUTH.ids))
    settings = SETTINGS.model_copy(update={"loss": "window", "epochs": 1})
    table = LabelTable(TRUTH.ids, soft)
    record = finetune(model, TRAIN, table, VAL, tmp_path / "run", settings).record
    kept = table.align(TRAIN.ids).soft_label
    assert record["window_radius"] == pytest.approx(np.median(np.abs(kept - 0.5)))


def test_a_finished_run_is_not_trained_again(
    model: str, plain: SavedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SETTINGS.model_copy(update={"seed": 1})
    with pytest.raises(InputError, match="the folder holds a finished run with other rows"):
        finetune(model, TRAIN, TRUTH, VAL, plain.folder, other)
    monkeypatch.setattr(trainer_module, "BatchTrainer", None)  # calling it would raise
    again = finetune(model, TRAIN, TRUTH, VAL, plain.folder, SETTINGS).predict(VAL)
    np.testing.assert_array_equal(again.soft_label, plain.predict(VAL).soft_label)


def test_another_device_than_the_first_is_refused() -> None:
    class Second:
        type, index = "cuda", 1

    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES=1"):
        trainer_module._training_arguments(SETTINGS, 8, Second(), Path("run"))


# rank as truth does, on both sides of one half or below it
ACROSS, BELOW = (LabelTable(TRUTH.ids, low + 0.2 * TRUTH.soft_label) for low in (0.4, 0.2))
SIX = SETTINGS.model_copy(update={"epochs": 6})
NOTHING = "early stopping by .* is undefined"


def best_of(record: dict, rule: StoppingRule) -> int:
    values = record[f"val_{rule}"]
    return int(np.argmin(values) if rule == "log_loss" else np.argmax(values))


@pytest.mark.parametrize("rule", STOPPING_RULES)
def test_the_best_evaluation_by_each_rule_is_kept(
    model: str, rule: StoppingRule, tmp_path: Path
) -> None:
    settings = SIX.model_copy(update={"early_stopping": rule})
    record = finetune(model, TRAIN, ACROSS, VAL, tmp_path / "run", settings).record
    assert record["chosen_step"] == record["val_step"][best_of(record, rule)]
    assert record["chosen_epoch"] == 1 + best_of(record, rule)
    assert record["warnings"] == []


@pytest.mark.filterwarnings(f"ignore:{NOTHING}")
@pytest.mark.parametrize("labels", [ACROSS, BELOW], ids=["across", "below"])
@pytest.mark.parametrize("rule", STOPPING_RULES)
def test_an_interrupted_run_keeps_what_an_uninterrupted_one_keeps(
    model: str,
    rule: StoppingRule,
    labels: LabelTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = SIX.model_copy(update={"early_stopping": rule, "epochs": 3})
    whole = finetune(model, TRAIN, labels, VAL, tmp_path / "whole", settings)
    step = BatchTrainer.training_step

    def interrupted(self: BatchTrainer, *arguments: object, **options: object) -> torch.Tensor:
        if self.state.global_step == 12:  # in the third epoch
            raise KeyboardInterrupt
        return step(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(BatchTrainer, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            finetune(model, TRAIN, labels, VAL, tmp_path / "run", settings)
    again = finetune(model, TRAIN, labels, VAL, tmp_path / "run", settings)
    assert again.record == whole.record
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_the_predictions_of_every_evaluation_are_kept(model: str, tmp_path: Path) -> None:
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


def test_labels_on_one_side_of_one_half_choose_the_same_checkpoint(
    model: str, tmp_path: Path
) -> None:
    """Training labels are the same in both runs, so predictions are too."""
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
def test_an_undefined_rule_keeps_the_last_evaluation_and_warns(
    model: str, rule: StoppingRule, labels: LabelTable, tmp_path: Path
) -> None:
    settings = SIX.model_copy(update={"early_stopping": rule, "epochs": 3})
    with pytest.warns(UserWarning, match=NOTHING):
        finetune(model, TRAIN, labels, VAL, tmp_path / "run", settings)
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert record[f"val_{rule}"] == [None, None, None]
    assert None not in record["val_log_loss"]
    assert record["chosen_epoch"] == 3
    (message,) = record["warnings"]
    assert f"by {rule} is undefined" in message


@pytest.mark.filterwarnings(f"ignore:{NOTHING}")
@pytest.mark.parametrize("rule", STOPPING_RULES)
@pytest.mark.parametrize("n", [1, 2])
def test_few_validation_rows_are_enough_to_train(
    model: str, n: int, rule: StoppingRule, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"early_stopping": rule})
    few = VAL.select(range(n))
    record = finetune(model, TRAIN, ACROSS, few, tmp_path / "run", settings).record
    assert len(record["val_log_loss"]) == 2
    assert (record["val_soft_auc"][0] is None) == (n == 1)


def test_no_validation_rows_are_refused_before_anything_is_written(
    model: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no validation rows"):
        finetune(model, TRAIN, TRUTH, VAL.select([]), tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rule", STOPPING_RULES)
def test_the_first_of_equal_evaluations_is_kept(
    model: str, rule: StoppingRule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS.model_copy(update={"early_stopping": rule})

    def constant(_: object, rows: list, **__: object) -> np.ndarray:
        return np.full(len(rows), 0.5)

    monkeypatch.setattr(trainer_module, "predict", constant)
    record = finetune(model, TRAIN, TRUTH, VAL, tmp_path / "run", settings).record
    assert record["val_auc"] == record["val_soft_auc"] == [0.5, 0.5]
    assert record["chosen_epoch"] == 1
