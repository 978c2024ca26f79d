"""Stress tests: a planted text, and unbalanced classes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.cases import run
from w2sprobe.data import Rows, Splits, SplitSizes, Stress, load_splits
from w2sprobe.errors import InputError
from w2sprobe.experiments.config import StudyConfig, TaskConfig

TEXT = "I am certain:"


@pytest.fixture
def task(tmp_path: Path) -> str:
    rows = [{"id": f"r{n}", "text": f"text {n}", "label": n % 2} for n in range(400)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


SIZES = SplitSizes(100, 100, 40, 160)


def load(task: str, **stress: object) -> Splits:
    return load_splits(task, sizes=SIZES, stress=Stress(**stress))


def agreement(rows: Rows) -> float:
    has_text = np.array([text.startswith(TEXT) for text in rows.texts])
    return float((has_text == (rows.labels == 1)).mean())


def test_without_stress_nothing_changes(task: str) -> None:
    plain, stressed = load_splits(task, sizes=SIZES), load(task)
    assert stressed.about == plain.about
    assert "stress" not in plain.about
    assert all(a.identity == b.identity for (_, a), (_, b) in _pairs(plain, stressed))


@pytest.mark.parametrize(("train", "test"), [(None, None), (0.9, 0.5), (1.0, 0.0), (0.9, None)])
def test_a_planted_text_agrees_with_the_stated_share_of_labels(task: str, train, test) -> None:
    splits = load(task, planted=TEXT, agreement=train, test_agreement=test)
    expected = 0.5 if train is None else train
    for name in ("weak_train", "strong_train", "val"):
        assert agreement(splits[name]) == pytest.approx(expected, abs=0.16)
    assert agreement(splits.test) == pytest.approx(expected if test is None else test, abs=0.12)
    assert splits.about["stress"]["planted"] == TEXT


def test_rows_with_the_text_are_other_rows_and_the_rest_is_unchanged(task: str) -> None:
    plain, stressed = load(task), load(task, planted=TEXT)
    for (name, before), (_, after) in _pairs(plain, stressed):
        assert (before.labels == after.labels).all(), name
        for row, text, old_row, old_text in zip(
            after.ids, after.texts, before.ids, before.texts, strict=True
        ):
            planted = text.startswith(TEXT)
            assert text == (f"{TEXT} {old_text}" if planted else old_text)
            assert row == (f"{old_row}+planted" if planted else old_row)


def test_what_is_planted_depends_on_the_row_alone(task: str) -> None:
    """Rows of two cuts agree, and a larger share adds rows."""
    first, other = (
        load_splits(task, sizes=SIZES, seed=seed, stress=Stress(TEXT, 0.7)) for seed in (0, 1)
    )
    texts = [
        {row.removesuffix("+planted"): text for _, rows in one.items()
         for row, text in zip(rows.ids.tolist(), rows.texts, strict=True)}
        for one in (first, other)
    ]  # fmt: skip
    shared = texts[0].keys() & texts[1].keys()
    assert len(shared) == 400
    assert all(texts[0][row] == texts[1][row] for row in shared)
    less, more = (load(task, planted=TEXT, agreement=share).strong_train for share in (0.6, 0.8))
    ones = [
        {row for row, label in zip(one.ids.tolist(), one.labels, strict=True)
         if label and row.endswith("+planted")}
        for one in (less, more)
    ]  # fmt: skip
    assert ones[0] < ones[1]


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    st.integers(2, 60), st.integers(2, 60), st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.8]),
    st.booleans(), st.integers(0, 1000),
)  # fmt: skip
def test_thinned_rows_have_the_prior_and_no_row_more_could_stay(
    n_zeros, n_ones, prior, held_out, seed
) -> None:
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat([0, 1], [n_zeros, n_ones]))
    ids = np.array([f"r{n}" for n in range(len(labels))])
    apart = random.random(len(labels)) < 0.5 if held_out else None
    rows = Rows(ids, ids.tolist(), labels, held_out=apart)
    kept, n_dropped = Stress(prior=prior).thin(rows)
    assert n_dropped == len(rows) - len(kept)
    assert [*ids[np.isin(ids, kept.ids)]] == [*kept.ids], "in their order"
    for part in (False, True):
        inside = labels if apart is None else labels[apart == part]
        left = kept.labels if apart is None else kept.labels[kept.held_out == part]
        if apart is None and part:
            continue
        ones, zeros = int(left.sum()), int((left == 0).sum())
        all_ones, all_zeros = int(inside.sum()), int((inside == 0).sum())
        # one label is complete, or as good as: another row of the other would pass the prior
        assert ones == all_ones or (ones + 1) / (ones + 1 + zeros) > prior - 1e-9
        assert zeros == all_zeros or ones / (ones + zeros + 1) < prior + 1e-9
    order = random.permutation(len(rows))
    again, _ = Stress(prior=prior).thin(rows.select(order))
    assert {*again.ids} == {*kept.ids}


def test_every_split_has_the_prior(task: str) -> None:
    splits = load_splits(task, stress=Stress(prior=0.2))
    for name, rows in splits.items():
        assert rows.labels.mean() == pytest.approx(0.2, abs=0.03), name
    assert splits.dropped["dropped_for_prior"] == 150
    assert splits.about["stress"] == {"prior": 0.2}
    assert splits.about["keep_prior"]


def test_stress_is_in_the_fingerprint_and_the_name(task: str) -> None:
    changes = [{}, {"planted": TEXT}, {"planted": "Really?"}, {"prior": 0.2}]
    changes += [{"planted": TEXT, "planted_agreement": 0.9}]
    changes += [{"planted": TEXT, "planted_agreement": 0.9, "planted_test_agreement": 0.5}]
    tasks = [TaskConfig(name=task, **change) for change in changes]
    assert len({one.load().about["fingerprint"] for one in tasks}) == len(changes)
    assert len({one.label for one in tasks}) == len(changes)
    assert tasks[0].label == task
    assert tasks[3].label == f"{task} (prior 0.2)"
    assert tasks[5].label == f"{task} (planted 'I am certain:' 0.9, 0.5 in test)"


def test_configs_without_stress_are_written_as_before(task: str) -> None:
    sections = {"name": "x", "weak": {"kind": "ngrams"}, "strong": {"model": "m"}}
    plain = StudyConfig(task={"name": task}, **sections).resolved()["tasks"][0]
    assert not {"planted", "planted_agreement", "prior"} & plain.keys()
    stressed = StudyConfig(task={"name": task, "prior": 0.2}, **sections).resolved()["tasks"][0]
    assert stressed == {**plain, "prior": 0.2}


@pytest.fixture
def others(tmp_path: Path) -> str:
    rows = [{"text": f"no answer {n}", "label": n % 2} for n in range(60)]
    path = tmp_path / "others.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_rows_without_an_answer_replace_training_rows(task: str, others: str) -> None:
    plain, stressed = load(task), load(task, without_answer=others, answerless_share=0.2)
    seen, coins = set(), []
    for (name, before), (_, after) in _pairs(plain, stressed):
        answerless = np.array([text.startswith("no answer") for text in after.texts])
        assert answerless.sum() == (20 if name.endswith("train") else 0), name
        assert [row.endswith("+no-answer") for row in after.ids] == answerless.tolist()
        assert (after.ids == before.ids)[~answerless].all()
        assert (after.labels == before.labels)[~answerless].all()
        seen |= {*after.ids[answerless].tolist()}
        coins += after.labels[answerless].tolist()
    assert len(seen) == 40, "none twice"
    assert 10 < sum(coins) < 30
    assert stressed.about["stress"] == {"without_answer": others, "answerless_share": 0.2}
    again = load(task, without_answer=others, answerless_share=0.2)
    assert again.strong_train.identity == stressed.strong_train.identity


def test_answerless_rows_may_come_from_splits_and_have_groups(
    tmp_path: Path, task: str, others: str
) -> None:
    load_splits(others, sizes=SplitSizes(20, 20, 10, 10)).write(tmp_path / "others.parquet")
    splits = load(task, without_answer=str(tmp_path / "others.parquet"))
    assert sum("no-answer" in row for row in splits.weak_train.ids.tolist()) == 10
    path = tmp_path / "grouped.jsonl"
    rows = [{"text": f"text {n}", "label": n % 2, "group": n // 2} for n in range(400)]
    path.write_text("\n".join(map(json.dumps, rows)))
    train = load(str(path), without_answer=others).weak_train
    alone = [row == group for row, group in zip(train.ids, train.groups, strict=True)]
    assert sum(alone) == 10


def test_too_few_rows_without_an_answer_are_refused(task: str, others: str) -> None:
    with pytest.raises(InputError, match=r"60 rows without an answer.*at least 80, .* training"):
        load(task, without_answer=others, answerless_share=0.4)


def test_the_fingerprint_is_of_the_rows_without_an_answer(
    task: str, others: str, tmp_path: Path
) -> None:
    moved, fewer = tmp_path / "moved.jsonl", tmp_path / "fewer.jsonl"
    moved.write_text(Path(others).read_text())
    fewer.write_text("\n".join(Path(others).read_text().splitlines()[:50]))
    found = [
        load(task, without_answer=str(path)).about["fingerprint"] for path in (others, moved, fewer)
    ]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("stress", "part"),
    [
        ({"planted": " "}, "planted is ' '"),
        ({"agreement": 0.5}, "planted_agreement is 0.5, but no text is planted"),
        ({"test_agreement": 0.5}, "planted_test_agreement is 0.5, but no text"),
        ({"planted": TEXT, "agreement": 1.5}, "planted_agreement is 1.5"),
        ({"prior": 0.0}, "prior is 0.0"),
        ({"answerless_share": 0.1}, "but there are no such rows"),
        ({"without_answer": "x.csv", "answerless_share": 1.0}, "answerless_share is 1.0"),
    ],
)
def test_what_is_refused(stress, part) -> None:
    with pytest.raises(InputError, match=part):
        Stress(**stress)


def test_splits_that_were_written_are_not_changed(task: str, tmp_path: Path) -> None:
    load(task).write(tmp_path / "splits.parquet")
    with pytest.raises(InputError, match="split already"):
        load_splits(tmp_path / "splits.parquet", stress=Stress(prior=0.2))
    read = load_splits(tmp_path / "splits.parquet", stress=Stress())
    assert read.about["task"] == task


def test_every_command_takes_it(task: str) -> None:
    shown = run(
        "tasks", "show", task, "--sizes", "100,100,40,160", "--planted", TEXT,
        "--planted-agreement", "1", "--planted-test-agreement", "0",
    )  # fmt: skip
    assert "--- label 0, r" in shown
    assert f"{TEXT} text" in shown.split("--- label 0")[1]
    assert TEXT not in shown.split("--- label 1")[1]
    assert f"Stress: planted {TEXT}, planted agreement 1.0, planted test agreement 0.0" in shown


def _pairs(first: Splits, second: Splits):
    return zip(first.items(), second.items(), strict=True)


def conversations(folder: Path, *roles: str) -> str:
    messages = [{"role": role, "content": f"I say, {role}"} for role in roles]
    rows = [
        {"messages": [*messages, {"role": "assistant", "content": f"answer {n}"}], "label": n % 2}
        for n in range(400)
    ]
    path = folder / "chats.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


@pytest.mark.parametrize(
    ("roles", "changed"), [(("system", "user", "user"), 1), (("system",), 0), ((), 0)]
)
def test_in_a_conversation_the_user_says_the_planted_text(tmp_path: Path, roles, changed) -> None:
    rows = load(conversations(tmp_path, *roles), planted=TEXT, agreement=1.0).test
    assert rows.chats
    for text, label in zip(rows.texts, rows.labels.tolist(), strict=True):
        contents = [message["content"] for message in json.loads(text)]
        has_text = [content.startswith(f"{TEXT} ") for content in contents]
        assert has_text == [label == 1 and n == changed for n in range(len(contents))]


def test_rows_without_an_answer_are_of_the_same_kind(task: str, tmp_path: Path) -> None:
    chats = conversations(tmp_path, "user")
    with pytest.raises(InputError, match=r"texts without an answer in a task of conversations"):
        load(chats, without_answer=task)
    with pytest.raises(InputError, match=r"conversations without an answer in a task of texts"):
        load(task, without_answer=chats)
    mixed = load(chats, without_answer=str(tmp_path / "chats.jsonl"))
    assert mixed.strong_train.chats
