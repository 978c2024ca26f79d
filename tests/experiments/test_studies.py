"""docs/studies.md: its example runs, and it names what there is."""

import re
from pathlib import Path

import pytest
import yaml

from tests.experiments.cases import plan_one, run_one, save_study, study
from w2sprobe.experiments.config import StudyConfig, load_config
from w2sprobe.experiments.methods import DEFAULT_METHODS, METHODS, Method

TEXT = (Path(__file__).parents[2] / "docs/studies.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    code: str = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)[0]
    return code


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_study(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("rules.py").write_text(block("python"))
    Path("reviews.yaml").write_text(block("yaml"))
    values = study(tmp_path)
    tiny = [f"{name}={yaml.safe_dump(values[name])}" for name in ("task", "weak", "strong")]
    config = load_config("reviews.yaml", [*tiny, "probes.layer=1", "probes.n_neighbors=3"])
    # the tiny tokenizer knows neither No nor Yes
    asked = config.zero_shot.model_copy(update={"answers": ("bad", "good")})
    config = config.model_copy(update={"zero_shot": asked})
    experiment = plan_one(config.model_dump(exclude_unset=True), tmp_path / "cache")
    results = run_one(experiment, tmp_path)
    kept = {row.method: row.rows_kept for row in results.rows}
    assert kept["strict_filter"] == kept["strict_control"] == 11
    assert (kept["student"], kept["logistic_filter"], kept["sure_half"]) == (16, 14, 8)


def test_every_method_and_key_is_documented() -> None:
    named = TEXT[TEXT.index("## Methods by name") : TEXT.index("## Methods of your own")]
    bold = set(re.findall(r"\*\*(\w+)\*\*", named))
    assert bold == set(DEFAULT_METHODS)
    words = set(re.findall(r"\w+", named))
    assert "`logistic_on_` before a name" in named
    assert {name.removeprefix("logistic_on_") for name in METHODS} <= words
    for name in (*StudyConfig.model_fields, *Method.model_fields):
        assert f"`{name}`" in TEXT, name
