"""The Python and the commands of docs/token-probes.md run, on tiny models."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.docs.conftest import write_reviews
from tests.docs.pages import blocks
from tests.integration.conftest import Workplace
from w2sprobe.data import SplitSizes, load_splits, truth_table
from w2sprobe.experiments.config import StudyConfig
from w2sprobe.labels import LabelTable

PAGE = "docs/token-probes.md"


def test_what_the_page_says_runs(
    tiny_models: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    place = Workplace(tmp_path)
    write_reviews(tmp_path / "reviews.csv")
    splits = load_splits("reviews.csv", sizes=SplitSizes(40, 40, 20, 40))
    splits.write("splits.parquet")
    truth = truth_table(splits.strong_train, splits.val, splits.test)
    wrong = np.arange(len(truth)) % 5 == 0
    Path("runs/weak").mkdir(parents=True)
    LabelTable(truth.ids, np.abs(0.9 * truth.soft_label - wrong)).write("runs/weak/labels.parquet")
    shell = blocks(PAGE, "")[0].replace("reviews.csv", "splits.parquet").replace(" 15", " 2")
    for command in shell.replace("\\\n", " ").splitlines():
        result = place.run(*command.removeprefix("w2sprobe ").split())
        assert result.returncode == 0, f"{command}\n{result.stderr}"
    code = blocks(PAGE, "python")[0].replace("15", "2")
    names: dict = {}
    exec(compile(code, PAGE, "exec"), names)
    assert names["p"].shape == names["held_out"].shape == (len(truth),)
    new = LabelTable.read("runs/relabelled.parquet")
    assert set(splits.strong_train.ids) <= set(new.ids)


def test_the_methods_of_the_page_are_a_config() -> None:
    values = yaml.safe_load(blocks(PAGE, "yaml")[0])
    ends = {"weak": {"model": "minilm-l6"}, "strong": {"model": "smollm2-135m"}}
    config = StudyConfig.model_validate({"name": "tokens", "tasks": ["sst2"], **ends, **values})
    assert config.probes.tokens.n_heads == 8
    assert config.entries["attention_wide"].learner == "attention"
