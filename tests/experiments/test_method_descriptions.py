"""Methods in words: each is told from every other, and a run's own are among them."""

from pathlib import Path

from tests.reporting.cases import save_run
from w2sprobe.experiments.method_descriptions import describe_method, describe_methods
from w2sprobe.experiments.methods import METHODS


def test_no_two_methods_sound_the_same() -> None:
    words = {name: describe_method(method) for name, method in METHODS.items()}
    assert len(set(words.values())) == len(words)


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
