"""Methods in words: each is told from every other, and a run's own are among them."""

from pathlib import Path

from tests.reporting.cases import save_run
from w2sprobe.experiments.method_descriptions import describe_method, describe_methods
from w2sprobe.experiments.methods import METHODS


def test_no_two_methods_sound_the_same() -> None:
    words = {name: describe_method(method) for name, method in METHODS.items()}
    assert len(set(words.values())) == len(words)


def test_ceilings_are_described_as_the_run_had_them(tmp_path: Path) -> None:
    results = save_run(tmp_path, methods=("weak", "ceiling", "mine", "mine_on_truth"))
    config = {"ceiling": "logistic", "define": {"mine": {"learner": "knn", "n_neighbors": 5}}}
    changes = {"config": config, "ceilings": {"mine": "mine_on_truth", "gone": "gone_on_truth"}}
    words = describe_methods(results.model_copy(update=changes))
    on_truth = "probe on its activations, fitted on the true labels."
    assert words["ceiling"] == f"Frozen strong model: logistic {on_truth}"
    assert words["mine_on_truth"] == f"Frozen strong model: kNN {on_truth}"
    finetuned = describe_methods(results)
    assert finetuned["ceiling"] == describe_method(METHODS["ceiling"])


def test_methods_of_a_runs_own_replace_those_of_the_table(tmp_path: Path) -> None:
    define = {
        "mine": {"predicts": "student", "function": "my.rules:drop_short"},
        "topofilter": {"predicts": "student", "probe": "knn", "curation": "filter"},
        "newer": {"predicts": "oracle"},
    }
    methods = ("weak", "ceiling", "mine", "topofilter", "newer", "unheard_of")
    results = save_run(tmp_path, methods=methods)
    words = describe_methods(results.model_copy(update={"config": {"define": define}}))
    assert words == {
        "weak": describe_method(METHODS["weak"]),
        "ceiling": describe_method(METHODS["ceiling"]),
        "mine": "Strong model, trained on the weak labels as my.rules:drop_short changes them.",
        "topofilter": "Strong model, trained on the weak labels without the rows that contradict "
        "the probe most (kNN probe).",
    }
