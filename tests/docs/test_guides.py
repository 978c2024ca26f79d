"""The Python of the how-to guides does what they say, on tiny models."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.docs.conftest import write_reviews
from tests.docs.pages import blocks, commands
from tests.integration.conftest import Workplace
from w2sprobe.cache import ActivationStore
from w2sprobe.data import SPLIT_NAMES, SplitSizes, load_splits, load_task, truth_table
from w2sprobe.experiments.config import load_config
from w2sprobe.labels import LabelTable
from w2sprobe.results import StudyResults


@pytest.fixture
def place(tiny_models: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    monkeypatch.chdir(tmp_path)
    write_reviews(tmp_path / "reviews.csv")
    return Workplace(tmp_path)


def done(place: Workplace, command: str) -> None:
    result = place.run(*command.split())
    assert result.returncode == 0, f"{command}\n{result.stderr}"


def test_a_function_gives_rows(place: Workplace) -> None:
    (code,) = blocks("docs/howto/own-data.md", "python")
    (place.folder / "stars.py").write_text(code)
    (place.folder / "stars.csv").write_text("review,stars\na good film,5\na bad film,1\n")
    rows = load_task("stars:rows").rows
    assert rows.labels.tolist() == [1, 0]


def test_a_probe_of_another_library_relabels(
    place: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = load_splits("reviews.csv", sizes=SplitSizes(40, 40, 20, 40))
    splits.write("splits.parquet")
    truth = truth_table(splits.strong_train, splits.val, splits.test)
    wrong = np.arange(len(truth)) % 5 == 0
    Path("runs/weak").mkdir(parents=True)
    LabelTable(truth.ids, np.abs(0.9 * truth.soft_label - wrong)).write("runs/weak/labels.parquet")
    done(place, "extract --model smollm2-135m --task splits.parquet --layers 2 --store runs/store")
    script, function = blocks("docs/howto/own-probe.md", "python")
    exec(compile(script.replace("(15, ", "(2, "), "own-probe.md", "exec"), {})
    probe_auc, weak_auc = map(float, capsys.readouterr().out.split())
    assert 0 <= probe_auc <= 1
    assert 0 <= weak_auc <= 1
    new, old = (LabelTable.read(f"runs/{name}.parquet") for name in ("lda", "weak/labels"))
    assert set(new.ids[new.soft_label != old.soft_label]) == set(splits.strong_train.ids)
    names: dict = {}
    exec(compile(function, "own-probe.md", "exec"), names)
    assert callable(names["relabel"])


def test_methods_of_the_guide_run(place: Workplace) -> None:
    (config,) = blocks("docs/howto/own-method.md", "yaml")
    (rules,) = blocks("docs/howto/own-method.md", "python")
    (place.folder / "strict.yaml").write_text(config)
    (place.folder / "rules.py").write_text(rules)
    done(place, "run strict.yaml")
    assert (place.folder / "results/strict/results.json").is_file()


def test_the_study_of_probes_runs(place: Workplace) -> None:
    _, config, seeds, _ = blocks("docs/studies.md", "yaml")
    (place.folder / "docs-study.yaml").write_text(config)
    study = yaml.safe_load(config)
    study["probes"]["layer"] = 2
    load_config("docs-study.yaml").experiments()[0].task.load()  # it has so many rows
    study["task"] |= {"rows": 400, "sizes": dict.fromkeys(SPLIT_NAMES, 60)}
    study |= dict.fromkeys(yaml.safe_load(seeds), 2)  # the factors of the page, at two levels
    study["weak"][0]["rows"] = 30
    (place.folder / "study.yaml").write_text(yaml.safe_dump(study))
    done(place, "run study.yaml")
    results = StudyResults.read(place.folder / "results/probes-only/study.json")
    assert not results.failures
    assert {*study["methods"]} <= {row.method for row in results.summary}
    assert "knn_probe_on_truth" in {row.method for row in results.summary}


def test_probes_of_a_conversation(place: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    page = "docs/howto/probe-a-conversation.md"
    write, probe, truth = blocks(page, "python")
    exec(compile(write, page, "exec"), {})
    split, extract, sweep, _ = commands(page)
    done(place, split.removeprefix("w2sprobe "))
    done(place, extract.removeprefix("w2sprobe ").replace("10,15,20", "1,2"))
    capsys.readouterr()
    exec(compile(probe, page, "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["layer", "1"], ["layer", "2"]]
    exec(compile(truth, page, "exec"), {})
    done(place, f"{sweep.removeprefix('w2sprobe ')} --layers 2")
    assert Path("runs/judged_sweep/sweep.parquet").exists()
    (config,) = blocks(page, "yaml")
    (place.folder / "study.yaml").write_text(config)
    assert load_config("study.yaml").probes.position == "last-assistant"


def test_activations_from_vllm(place: Workplace) -> None:
    page = "docs/howto/activations-from-vllm.md"
    write, shorten, probe, _ = blocks(page, "python")
    smaller = {"10,20,30": "1,2,4", "[10, 20, 30]": "[1, 2, 4]", "10,20": "1,2", "(20, ": "(2, "}

    def small(text: str) -> str:
        for there, here in smaller.items():
            text = text.replace(there, here)
        return text.removeprefix("w2sprobe ")

    split, refused, accepted, verify = map(small, commands(page))
    done(place, split)
    names: dict = {}
    exec(compile(small(write), page, "exec"), names)
    result = place.run(*refused.split())
    assert result.returncode == 2
    assert "layer 4: " in result.stderr
    assert "it is what the last block returns: the final norm is missing" in result.stderr
    assert not (place.folder / "runs/from-vllm").exists()
    exec(compile(shorten, page, "exec"), names)
    result = place.run(*accepted.split())
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "runs/from-vllm: 180 rows, layers 1, 2, float32"
    assert lines[1].startswith("16 rows computed again with transformers (smollm2-135m, float32)")
    exec(compile(small(probe), page, "exec"), names)
    done(place, verify)


def test_a_saved_probe_is_checked(place: Workplace) -> None:
    page = "docs/howto/check-a-saved-probe.md"
    splits, quantise = blocks(page, "python")
    first, last = splits.index("    "), splits.index("    sizes")
    small = f'{splits[:first]}    "reviews.csv",\n{splits[last:]}'
    small = small.replace("200, 500, 100, 600", "4, 80, 4, 120")
    exec(compile(small, page, "exec"), {})
    exec(compile(quantise, page, "exec"), {})
    typed = [line.replace("--layers 15", "--layers 2") for line in commands(page)]
    statuses = [place.run(*line.split()[1:]).returncode for line in typed]
    assert len(typed) == 6
    assert [statuses[n] for n in (0, 1, 2, 4)] == [0] * 4
    assert {statuses[3], statuses[5]} <= {0, 1}  # holds, or another verdict
    assert "layer 2 of smollm2-135m" in (place.folder / "runs/probe/README.md").read_text()


def test_a_store_is_shared(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "docs/howto/share.md"
    (code,) = blocks(page, "python")
    export, push, pull, to_bucket, from_bucket, _ = commands(page)
    done(place, "extract --model smollm2-135m --task reviews.csv --layers 1,2 --store runs/acts")
    done(place, export.removeprefix("w2sprobe ").replace("10,20", "1,2"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", place.folder / "datasets")
    names: dict = {}
    exec(compile(code.replace("layer_10", "layer_2"), page, "exec"), names)
    store = ActivationStore.open("runs/acts")
    np.testing.assert_array_equal(names["vectors"], store.read(2))
    np.testing.assert_array_equal(names["same"], store.read(2))
    for there, back in ((push, pull), (to_bucket, from_bucket)):
        for command, folder in ((there, "runs/acts"), (back, "again")):
            typed = command.replace("hf://", "hub/").replace(" runs/acts", f" {folder}")
            done(place, typed.removeprefix("w2sprobe "))
