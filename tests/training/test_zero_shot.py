import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    BertLMHeadModel,
    XLNetLMHeadModel,
)

from tests.tiny import CONFIGS, ENCODERS, save_tiny_model, sentences
from tests.zoo import WORDS, save_tiny
from w2sprobe.assets import asset_path, is_fetched
from w2sprobe.data import Rows, SplitSizes, load_splits
from w2sprobe.errors import IdMismatch, InputError
from w2sprobe.models import describe_model, forget_models, load_tokenizer
from w2sprobe.training import zero_shot as zero_shot_module
from w2sprobe.training.zero_shot import PromptTemplate, choose_shots, zero_shot

ANSWERS = ("bad", "good")
CAUSAL = tuple(name for name in CONFIGS if name not in ENCODERS)


def rows(n: int, seed: int, tag: str, longest: int = 12) -> Rows:
    texts = sentences(n, seed=seed, longest=longest)
    labels = np.arange(n, dtype=np.int64) % 2
    return Rows(ids=np.array([f"{tag}{i}" for i in range(n)]), texts=texts, labels=labels)


ROWS, SHOTS = rows(30, 1, "r"), rows(2, 2, "s", longest=4)


def asked_one_by_one(source: str, prompts: list[str], answers: tuple[str, str]) -> list[float]:
    """Reference with plain transformers: no padding, the whole head, one answer at a time."""
    tokenizer = load_tokenizer(source)
    network = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32).eval()
    found = []
    for prompt in prompts:
        tokens = tokenizer(prompt)["input_ids"]
        with torch.inference_mode():
            logits = network(torch.tensor([tokens])).logits[0, -1].double()
        z = []
        for answer in answers:
            whole = tokenizer(f"{prompt} {answer}")["input_ids"]
            assert whole[: len(tokens)] == tokens
            z.append(float(logits[whole[len(tokens)]]))
        found.append(1 / (1 + math.exp(z[0] - z[1])))
    return found


@pytest.mark.parametrize("architecture", CAUSAL)
def test_predictions_equal_those_of_the_whole_model_on_single_rows(
    architecture: str, tmp_path: Path
) -> None:
    model = save_tiny_model(architecture, tmp_path / "model", padding_side="left")
    short = rows(12, 1, "r", longest=5 if architecture == "qwen2" else 12)
    template = PromptTemplate(ANSWERS, "is it good")
    wanted = asked_one_by_one(model, [template.prompt(text) for text in short.texts], ANSWERS)
    table = zero_shot(model, short, answers=ANSWERS, question="is it good", device="cpu")
    assert table.ids.tolist() == short.ids.tolist()
    np.testing.assert_allclose(table.soft_label, wanted, atol=1e-6)
    assert np.ptp(wanted) > 1e-3, "that test can fail"


@pytest.mark.parametrize("cached_tokens", [16_384, 50])
@pytest.mark.parametrize("architecture", CAUSAL)
def test_examples_come_first_with_their_labels(
    architecture: str, cached_tokens: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zero_shot_module, "CACHED_TOKENS", cached_tokens)
    model = save_tiny_model(architecture, tmp_path / "model")
    some = rows(12, 1, "r", longest=3)
    shots = Rows(np.array(["s", "t"]), ["not good", "great"], np.array([0, 1]))
    answers = ("go", "we") if architecture == "qwen2" else ANSWERS
    no, yes = answers
    prompts = [
        f"not good\nAnswer ({yes} or {no}): {no}\n\n"
        f"great\nAnswer ({yes} or {no}): {yes}\n\n"
        f"{text}\nAnswer ({yes} or {no}):"
        for text in some.texts
    ]
    read: list[int] = []
    shared_cache = zero_shot_module._shared_cache
    monkeypatch.setattr(
        zero_shot_module,
        "_shared_cache",
        lambda network, tokens: read.append(len(tokens)) or shared_cache(network, tokens),
    )
    table = zero_shot(model, some, shots=shots, answers=answers)
    wanted = asked_one_by_one(model, prompts, answers)
    np.testing.assert_allclose(table.soft_label, wanted, atol=1e-6)
    assert len(read) == 1, "the examples are read once"
    without = zero_shot(model, some, answers=answers)
    assert np.abs(table.soft_label - without.soft_label).max() > 1e-3


def test_other_rows_and_the_padding_side_change_nothing(tmp_path: Path) -> None:
    left, right = (
        save_tiny_model("llama", tmp_path / side, padding_side=side) for side in ("left", "right")
    )
    table = zero_shot(left, ROWS, shots=SHOTS, answers=ANSWERS)
    again = zero_shot(right, ROWS, shots=SHOTS, answers=ANSWERS)
    np.testing.assert_array_equal(table.soft_label, again.soft_label)
    order = np.random.default_rng(0).permutation(len(ROWS))
    mixed = zero_shot(left, ROWS.select(order), shots=SHOTS, answers=ANSWERS).align(ROWS.ids)
    np.testing.assert_allclose(mixed.soft_label, table.soft_label, atol=1e-6)
    alone = zero_shot(left, ROWS.select([7]), shots=SHOTS, answers=ANSWERS)
    np.testing.assert_allclose(alone.soft_label, table.soft_label[7:8], atol=1e-6)


def test_swapped_answers_swap_the_labels(tmp_path: Path) -> None:
    model = save_tiny_model("gemma2", tmp_path / "model")
    template = [PromptTemplate(answers, "") for answers in (ANSWERS, ANSWERS[::-1])]
    # the cue names the answers, so its order must be undone for the law to hold
    prompts = [[one.prompt(text) for text in ROWS.texts] for one in template]
    assert prompts[0] != prompts[1]
    p = zero_shot(model, ROWS, answers=ANSWERS).soft_label
    swapped = asked_one_by_one(model, prompts[0], ANSWERS[::-1])
    np.testing.assert_allclose(1 - p, swapped, atol=1e-6)


def test_labels_of_the_rows_are_not_read(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    turned = Rows(ROWS.ids, ROWS.texts, 1 - ROWS.labels)
    for shots in (None, SHOTS):
        np.testing.assert_array_equal(
            zero_shot(model, turned, shots=shots, answers=ANSWERS).soft_label,
            zero_shot(model, ROWS, shots=shots, answers=ANSWERS).soft_label,
        )


def test_a_long_text_is_refused_or_cut_and_the_question_stays(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    long = Rows(np.array(["a", "b"]), ["warm good " * 50, "bad"], np.array([0, 1]))
    with pytest.raises(InputError) as caught:
        zero_shot(model, long, answers=ANSWERS, question="was it good")
    for part in ("id 'a'", "(and 0 more)", "up to 64 tokens", "--shots", "--truncate"):
        assert part in str(caught.value)
    with pytest.warns(UserWarning, match="1 of 2 texts were cut"):
        table = zero_shot(model, long, answers=ANSWERS, question="was it good", truncate=True)
    template, tokenizer = PromptTemplate(ANSWERS, "was it good"), load_tokenizer(model)
    room = 64 - len(tokenizer(template.prompt(""))["input_ids"])
    kept = " ".join(long.texts[0].split()[:room])
    wanted = asked_one_by_one(model, [template.prompt(kept), template.prompt("bad")], ANSWERS)
    np.testing.assert_allclose(table.soft_label, wanted, atol=1e-6)
    with pytest.raises(InputError, match="no room for the text of id 'a'"):
        zero_shot(model, long, shots=rows(6, 3, "s"), answers=ANSWERS, truncate=True)


@pytest.mark.parametrize(
    ("answers", "same"),
    [
        (("bad", "good"), False),
        (("No", "Yes"), True),  # both unknown to this vocabulary
        (("very bad", "very good"), True),
        (("good", "good film"), True),
        (("bad film", "good film"), False),
    ],
)
def test_answers_must_differ_in_their_first_token(
    answers: tuple[str, str], same: bool, tmp_path: Path
) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    if not same:
        zero_shot(model, SHOTS, answers=answers)
        return
    with pytest.raises(InputError, match="start with the same token") as caught:
        zero_shot(model, SHOTS, answers=answers)
    assert repr(answers[0]) in str(caught.value)


def test_a_separate_blank_token_is_not_a_shared_start(tmp_path: Path) -> None:
    """The tokenizer splits these answers into a blank and single letters."""
    model = save_tiny_model("qwen2", tmp_path / "model")
    tokenizer = load_tokenizer(model)
    one, two = (tokenizer(f" {answer}")["input_ids"] for answer in ("ou", "em"))
    assert one[0] == two[0]
    zero_shot(model, SHOTS, answers=("ou", "em"))
    with pytest.raises(InputError, match="same token"):
        zero_shot(model, SHOTS, answers=("ko", "km"))


def test_a_bfloat16_checkpoint_has_logits_in_float32(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    exact = zero_shot(model, ROWS, answers=ANSWERS).soft_label
    AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16).save_pretrained(model)
    forget_models()
    assert describe_model(model).dtype == "bfloat16"
    p = zero_shot(model, ROWS, answers=ANSWERS).soft_label
    np.testing.assert_allclose(p, exact, atol=0.02)
    z = torch.from_numpy(np.log(p / (1 - p)))
    assert (z.bfloat16().double() != z).float().mean() > 0.9, "finer than bfloat16"


def test_models_without_a_head_are_refused(tmp_path: Path) -> None:
    encoder = save_tiny_model("bert", tmp_path / "bert")
    with pytest.raises(InputError, match=r"no language-model head.*BertForMaskedLM"):
        zero_shot(encoder, ROWS, answers=ANSWERS)
    causal = save_tiny_model("llama", tmp_path / "llama")
    AutoModel.from_pretrained(causal).save_pretrained(causal)
    with pytest.raises(InputError, match=r"no language-model head.*LlamaModel"):
        zero_shot(causal, ROWS, answers=ANSWERS)
    config = json.loads((Path(causal) / "config.json").read_text())
    config["architectures"] = ["LlamaForCausalLM"]  # says so, but the weights are not there
    hollow = tmp_path / "hollow"
    Path(causal).rename(hollow)
    (hollow / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"no language-model head.*lm_head\.weight"):
        zero_shot(str(hollow), ROWS, answers=ANSWERS)


def test_a_row_is_not_its_own_example(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    with pytest.raises(IdMismatch, match=r"'r4'.*among the examples"):
        zero_shot(model, ROWS, shots=ROWS.select([4, 1]), answers=ANSWERS)


def test_shots_are_balanced_and_do_not_depend_on_row_order() -> None:
    many = Rows(
        np.array([f"m{i}" for i in range(40)]),
        [f"text {i}" for i in range(40)],
        (np.arange(40) % 5 == 0).astype(np.int64),
    )
    shots = choose_shots(many, 6)
    assert sorted(shots.labels.tolist()) == [0, 0, 0, 1, 1, 1]
    again = choose_shots(many.select(np.random.default_rng(0).permutation(40)), 6)
    assert again.ids.tolist() == shots.ids.tolist()
    assert set(choose_shots(many, 4).ids) < set(shots.ids), "more examples keep the others"
    truth = dict(zip(many.ids.tolist(), many.labels.tolist(), strict=True))
    assert [truth[name] for name in shots.ids.tolist()] == shots.labels.tolist()
    for n_shots in (0, -2, 3):
        with pytest.raises(InputError, match="half of them of each label"):
            choose_shots(many, n_shots)
    with pytest.raises(InputError, match=r"8 rows of label 1 .* at least 9, for 18 examples"):
        choose_shots(many, 18)


@pytest.mark.slow
def test_a_real_model_predicts_the_same_in_batches() -> None:
    missing = [n for n in ("smollm2-135m", "bigbench") if not is_fetched(n)]
    if missing:
        pytest.fail(f"{missing} are needed: run `make fetch`")
    splits = load_splits("bigbench:multiemo/all_sentence_en", sizes=SplitSizes(10, 2, 2, 12))
    options = {"answers": ("negative", "positive"), "question": "Is this review positive?"}
    shots = choose_shots(splits.weak_train, 4)
    template = PromptTemplate(options["answers"], options["question"])
    source, some = str(asset_path("smollm2-135m")), splits.test.select(range(3))
    for examples, given in (("", None), (template.examples(shots), shots)):
        prompts = [examples + template.prompt(text) for text in some.texts]
        wanted = asked_one_by_one(source, prompts, template.answers)
        table = zero_shot("smollm2-135m", splits.test, shots=given, **options)
        np.testing.assert_allclose(table.soft_label[:3], wanted, atol=1e-4)


@pytest.mark.parametrize("family", ["xlnet", "bert"])
def test_a_model_that_reads_later_tokens_is_refused(family: str, tmp_path: Path) -> None:
    model = save_tiny(family, tmp_path / "model")
    kind = {"xlnet": XLNetLMHeadModel, "bert": BertLMHeadModel}[family]
    kind.from_pretrained(model).save_pretrained(model)
    with pytest.raises(InputError, match="does not continue a text"):
        zero_shot(model, zoo_rows(6, 1), answers=("w1", "w2"))


@pytest.mark.parametrize("family", ["jamba", "lfm2", "mamba", "minimax", "qwen3_next"])
def test_models_that_keep_more_than_keys_and_values(family: str, tmp_path: Path) -> None:
    """A common start is computed once if its cache can be repeated, else with every row."""
    model = save_tiny(family, tmp_path / "model")
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model)).save_pretrained(model)
    several, shots = zoo_rows(5, 1), zoo_rows(2, 2, "s")
    options = {"shots": shots, "answers": ("w1", "w2"), "truncate": True}
    found = zero_shot(model, several, **options).soft_label
    alone = [zero_shot(model, several.select([row]), **options).soft_label[0] for row in range(5)]
    np.testing.assert_allclose(found, alone, atol=1e-5)


def zoo_rows(n: int, seed: int, tag: str = "r") -> Rows:
    generator = np.random.default_rng(seed)
    texts = [" ".join(generator.choice(WORDS, size=4 + row)) for row in range(n)]
    return Rows(np.array([f"{tag}{row}" for row in range(n)]), texts, np.arange(n) % 2)
