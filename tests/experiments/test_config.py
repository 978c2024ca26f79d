from pathlib import Path
from typing import Any

import pytest
import yaml

from w2sprobe.errors import InputError
from w2sprobe.experiments.config import PRESETS, ExperimentConfig, StudyConfig, load_config
from w2sprobe.experiments.methods import DEFAULT_METHODS, METHODS, Method
from w2sprobe.training.settings import LOSSES, TrainSettings

BASE = "name: x\ntask: {name: t.csv}\nweak: {model: a}\nstrong: {model: b}\n"


def write(tmp_path: Path, text: str) -> str:
    (tmp_path / "e.yaml").write_text(text)
    return str(tmp_path / "e.yaml")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid(name: str) -> None:
    assert load_config(name).name == name


def test_defaults_are_the_published_settings(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, BASE))
    assert (config.strong.epochs, config.strong.batch_size, config.strong.learning_rate) == (
        3,
        32,
        8e-5,
    )
    assert (config.strong.lora_rank, config.strong.lora_alpha) == (8, 8)
    assert (config.probes.n_neighbors, config.probes.l2, config.probes.contamination) == (
        50,
        1e-2,
        0.1,
    )
    assert config.methods == tuple(DEFAULT_METHODS)
    assert {"strong_to_strong_1", "strong_to_strong_2", "random_filter"} <= set(config.methods)
    assert config.strong_to_strong.stop_at is None


def test_every_loss_has_a_student() -> None:
    plain = {
        method.loss: name for name, method in METHODS.items() if method == Method(loss=method.loss)
    }
    assert plain == {loss: "student" if loss == "xent" else f"student_{loss}" for loss in LOSSES}


def test_every_loss_has_a_linear_head() -> None:
    heads = {
        method.loss: name
        for name, method in METHODS.items()
        if method == Method(learner="head", loss=method.loss)
    }
    assert heads == {loss: "head" if loss == "xent" else f"head_{loss}" for loss in LOSSES}


def test_weak_and_ceiling_are_always_run_first_and_once(tmp_path: Path) -> None:
    text = BASE + "methods: [student, ceiling, student]\n"
    assert load_config(write(tmp_path, text)).methods == ("weak", "ceiling", "student")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (BASE + "wek: {}\n", ["wek: unknown key", "did you mean 'weak'"]),
        (BASE + "probes: {k: 5}\n", ["probes.k: unknown key", "n_neighbors"]),
        (BASE + "probes: {l2: -1}\n", ["probes.l2", "greater than 0", "-1"]),
        (BASE + "methods: [studnt]\n", ["unknown method 'studnt'", "did you mean 'student'"]),
        (
            BASE + "analysis: {against: studnt}\n",
            ["analysis: against: unknown method 'studnt'", "did you mean 'student'"],
        ),
        (
            BASE + "analysis: {family: [zero_shot]}\n",
            ["analysis: family: 'zero_shot' is not among the methods that are compared with 'stu"],
        ),
        (
            BASE + "analysis: {family: [student]}\n",
            ["analysis: family: 'student' is not among", "allowed: student_logconf"],
        ),
        (
            BASE + "analysis: {family: [topofilter, topofilter]}\n",
            ["analysis: family: 'topofilter' occurs 2 times"],
        ),
        (BASE + "analysis: {margin: 0}\n", ["analysis.margin", "greater than 0"]),
        (
            BASE + "analysis: {alternative: two_sided}\n",
            ["analysis.alternative", "did you mean 'two-sided'"],
        ),
        (BASE + "strong_to_strong: {stop_at: 1}\n", ["strong_to_strong.stop_at", "less than 1"]),
        (BASE + "strong_to_strong: {folds: 5}\n", ["strong_to_strong.folds: unknown key", "cv"]),
        (BASE + "methods: student\n", ["methods: not a list, got 'student'"]),
        (BASE + "methods: [1]\n", ["methods.0: Input should be a valid string, got 1"]),
        (BASE + "probes: 5\n", ["probes: not a section", "with the keys layer, n_", "got 5"]),
        (BASE + "probes: {layer: [1]}\n", ["probes.layer: Input should be a valid integer or"]),
        (BASE + "probes: {n_neighbors: many}\n", ["probes.n_neighbors", "integer", "'many'"]),
        (
            BASE.replace("model: b", "model: b, los: logconf"),
            ["strong.los: unknown key", "did you mean 'loss'?"],
        ),
        (
            BASE.replace("model: b", "model: b, loss: logcon"),
            ["strong.loss: Input should be 'xent'", "got 'logcon'", "did you mean 'logconf'?"],
        ),
        (
            BASE.replace("model: b", "model: b, full: true, lora_from_layer: 2"),
            ["strong: full, which trains all weights, beside lora_from_layer"],
        ),
        (
            BASE.replace("t.csv", "t.csv, sizes: {weak_trian: 3}"),
            ["task.sizes.weak_trian: unknown key", "did you mean 'weak_train'?"],
        ),
        (BASE.replace("t.csv", "t.csv, formatting: repared"), ["did you mean 'repaired'?"]),
        (
            BASE + "define: {mine: {predicts: student, prob: knn}}\n",
            [
                "define.mine.prob: unknown key (did you mean 'probe'?); allowed: predicts, labels",
                "did you mean 'probe'?",
            ],
        ),
        (
            BASE + "define: {mine: {predicts: studnt}}\n",
            ["define.mine.predicts: Input should be", "got 'studnt'", "did you mean 'student'?"],
        ),
        (
            BASE + "define: {mine: {predicts: student, probe: kn, curation: filter}}\n",
            ["define.mine.probe: unknown probe 'kn'", "did you mean 'knn'?", "allowed: knn, logi"],
        ),
        (
            BASE + "define: {mine: {predicts: student, curation: filter}}\n",
            ["define.mine: curation 'filter' without probe; allowed: knn, logistic, mass-mean, to"],
        ),
        (BASE + "define: {mine: {predicts: probe, probe: knn, n_neighbors: 0}}\n", ["got 0"]),
        (BASE + "define: {mine: student}\n", ["define.mine: not a section", "keys predicts"]),
        (
            BASE + "define: {mine: {learner: logistc}}\n",
            ["define.mine.learner: unknown learner 'logistc'", "did you mean 'logistic'?"],
        ),
        (
            BASE + "define: {mine: {probe: knn, curation: filter, rule: deep-kn}}\n",
            ["define.mine.rule: unknown rule 'deep-kn'", "did you mean 'deep-knn'?"],
        ),
        (BASE + "ceiling: logistc\n", ["ceiling: unknown learner 'logistc' (did you mean 'logist"]),
        (BASE + "ceiling: head\n", ["ceiling: unknown learner 'head'", "allowed: finetuned, knn"]),
        (BASE + "seeds: 2\nsplits: 2\n", ["seeds beside splits, supervisor_seeds or learner_se"]),
        (BASE + "seeds: [0]\nlearner_seeds: [1]\n", ["seeds beside splits"]),
        (BASE + "splits: [1, 1]\n", ["splits: 1 occurs 2 times"]),
        (BASE + "splits: 0\n", ["splits: not a list, got 0"]),
        (BASE + "supervisor_seeds: [-1]\n", ["supervisor_seeds.0", "greater than or equal to 0"]),
        (BASE + "learner_seeds: true\n", ["learner_seeds: not a list, got True"]),
        (
            BASE.replace("weak: {model: a}", "weak: {kind: ngrms}"),
            ["weak: ", "ngrms", "'finetuned', 'probe', 'ngrams', 'zero_shot', 'labels'"],
        ),
        (
            BASE.replace("weak: {model: a}", "weak: {kind: ngrams, model: a}"),
            ["weak.model: unknown key; allowed: name, rows, seed, kind, C"],
        ),
        (
            BASE.replace("weak: {model: a}", "weak: {kind: probe, model: a, epochs: 2}"),
            ["weak.epochs: unknown key", "allowed: name, rows, seed, kind, model, layer"],
        ),
        (
            BASE.replace("weak: {model: a}", "weak: [{kind: ngrams}, {kind: ngrams}]"),
            ["weak: 'character n-grams' occurs 2 times"],
        ),
        (
            BASE.replace("weak: {model: a}", "weak: {kind: ngrams, rows: 3}"),
            ["weak.rows: Input should be greater than or equal to 4, got 3"],
        ),
        (
            BASE.replace("weak: {model: a}", "weak: [{kind: ngrams}, {model: a, los: logconf}]"),
            ["weak.1.los: unknown key", "did you mean 'loss'?"],
        ),
        (BASE.replace("{model: a}", "{model: a, epochs: 0}"), ["weak.epochs: Input should be gre"]),
        (BASE.replace("weak: {model: a}", "weak: {kind: labels}"), ["weak.file: Field required"]),
        (
            BASE + "define: {student: {predicts: student}}\n",
            ["define: 'student' is taken already"],
        ),
        (
            BASE + "define: {mine: {predicts: student, curation: random_filter, "
            "same_size_as: topofiltr}}\n",
            ["define: mine.same_size_as: unknown filter 'topofiltr'", "did you mean 'topofilter'?"],
        ),
        (
            BASE + "define: {mine: {predicts: student}}\nmethods: [mien]\n",
            ["unknown method 'mien'", "did you mean 'mine'?"],
        ),
        (BASE + "zero_shot: {answers: [No, Yes]}\n", ["zero_shot.answers.0", "got False"]),
        (BASE.replace("t.csv", "t.csv, sizes: {weak_train: 3}"), ["task.sizes"]),
        ("name: x\n", ["weak: Field required", "strong: Field required"]),
        (BASE.replace("task: {name: t.csv}", "task: {}"), ["no task; allowed: task with a name"]),
        (BASE.replace("name: x", "name: ../x"), ["name: String should match", "got '../x'"]),
        (
            BASE.replace("model: b", "model: b, learning_rate: .inf"),
            ["strong.learning_rate: Input should be a finite number"],
        ),
        ("- a\n", ["not a mapping"]),
        ("a: [\n", ["not YAML"]),
    ],
)
def test_mistakes_are_named_with_their_place(text: str, parts: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, text))
    for part in (*parts, "e.yaml"):
        assert part in str(caught.value)


def test_published_learning_rates_are_the_defaults() -> None:
    config = StudyConfig.model_validate(
        {"name": "n", "task": {"name": "t"}, "weak": {"model": "w"}, "strong": {"model": "s"}}
    )
    assert (config.weak.learning_rate, config.strong.learning_rate) == (5e-4, 8e-5)


@pytest.mark.parametrize("name", PRESETS)
def test_only_the_published_preset_stops_by_hard_labels(name: str) -> None:
    for config in load_config(name).experiments():
        finetuned = [one for one in (config.weak, config.strong) if isinstance(one, TrainSettings)]
        rules = {one.early_stopping for one in finetuned}
        assert rules == {"auc" if name == "published" else "soft_auc"}


def test_one_mistake_hides_no_other(tmp_path: Path) -> None:
    text = (
        BASE + "define: {mine: {predicts: student, prob: knn}}\nmethods: [mine]\nprobes: {k: 1}\n"
    )
    with pytest.raises(InputError, match=r"probes\.k: unknown key.*define\.mine\.prob") as caught:
        load_config(write(tmp_path, text))
    assert "unknown method" not in str(caught.value)


def test_settings_replace_what_the_file_says(tmp_path: Path) -> None:
    text = BASE + "probes:\nstrong_to_strong: {cv: 3}\n"
    config = load_config(
        write(tmp_path, text),
        [
            "strong.model=c",
            "strong.epochs=7",
            "strong.learning_rate=1e-3",
            "probes.layer=4",
            "strong_to_strong.stop_at=0.01",
            "define.mine.predicts=probe",
            "define.mine.probe=knn",
            "methods=[student, mine]",
            "task.sizes={weak_train: 4, strong_train: 5, val: 6, test: 7}",
        ],
    )
    assert (config.strong.model, config.strong.epochs, config.strong.learning_rate) == (
        "c",
        7,
        1e-3,
    )
    assert (config.probes.layer, config.strong_to_strong.cv) == (4, 3)
    assert config.strong_to_strong.stop_at == 0.01
    assert config.methods == ("weak", "ceiling", "student", "mine")
    assert config.define["mine"] == Method(learner="knn")
    assert config.task.name == "t.csv"
    assert config.task.sizes is not None
    assert config.task.sizes.val == 6


def test_a_setting_changes_one_of_two_sections_that_share_an_anchor(tmp_path: Path) -> None:
    text = BASE.replace("weak: {", "weak: &model {").replace("{model: b}", "*model")
    config = load_config(write(tmp_path, text), ["strong.epochs=7", "strong.model=c"])
    assert (config.weak.epochs, config.strong.epochs) == (3, 7)
    assert (config.weak.model, config.strong.model) == ("a", "c")


def test_settings_go_with_presets_and_leave_them_as_they_are() -> None:
    before = load_config("smoke")
    assert load_config("smoke", ["probes.n_neighbors=7"]).probes.n_neighbors == 7
    assert load_config("smoke") == before


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("strong.modle=c", ["strong.modle: unknown key", "did you mean 'model'?"]),
        ("stron.model=c", ["stron: unknown key", "did you mean 'strong'?"]),
        ("strong.epochs=0", ["strong.epochs", "greater than or equal to 1, got 0"]),
        ("methods=[studnt]", ["unknown method 'studnt'", "did you mean 'student'?"]),
        ("name.first=c", ["name is 'x', which has no keys"]),
        ("strong.epochs", ["Allowed: KEY=VALUE"]),
        ("methods=[student", ["not YAML"]),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(
    setting: str, parts: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, BASE), ["probes.n_neighbors=7", setting])
    for part in (*parts, f"--set {setting}"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "weak",
    [
        "{model: a}",
        "{kind: probe, model: a, rows: 60, layer: 3, position: last}",
        "{kind: ngrams, rows: 60, C: 0.1, name: letters}",
        "{kind: zero_shot, model: a, answers: [bad, good]}",
        "{kind: labels, file: crowd.csv}",
        "[{model: a}, {kind: ngrams}, {kind: probe, model: a}, {kind: labels, file: crowd.csv}]",
    ],
)
def test_what_is_dumped_is_read_back(tmp_path: Path, weak: str) -> None:
    define = "define: {mine: {predicts: probe, probe: knn, layer: 3}}\n"
    define += (
        "ceiling: logistic\nsplits: 2\nsupervisor_seeds: [3, 4]\nprobes: {head: {epochs: 3}}\n"
    )
    sizes = "sizes: {weak_train: 0.4, strong_train: 5, val: 6, test: 1.0}"
    text = BASE.replace("t.csv", f"t.csv, {sizes}").replace("{model: a}", weak) + define
    config = load_config(write(tmp_path, text))
    dumped = yaml.safe_dump(config.model_dump(mode="json"))
    assert load_config(write(tmp_path, dumped)) == config

    again = StudyConfig.model_validate(config.resolved())
    assert again.experiments() == config.experiments()
    for one in config.experiments():
        assert ExperimentConfig.model_validate(one.model_dump(mode="json")) == one


def labels_of(weak: str) -> list[str]:
    text = BASE.replace("{model: a}", weak)
    weak_sections = StudyConfig.model_validate(yaml.safe_load(text)).experiments()
    return [one.key.weak_model for one in weak_sections]


def test_results_call_a_supervisor_what_it_is_or_is_named() -> None:
    assert labels_of("[{model: a}, {kind: probe, model: a}, {kind: zero_shot, model: a}]") == [
        *("a", "a probe", "a zero-shot")
    ]
    assert labels_of("[{kind: ngrams}, {kind: ngrams, rows: 60}]") == [
        *("character n-grams", "character n-grams, 60 rows")
    ]
    assert labels_of("[{kind: labels, file: /data/crowd.csv}, {kind: ngrams, name: letters}]") == [
        *("crowd", "letters")
    ]


def runs(**fields: Any) -> StudyConfig:
    base = yaml.safe_load(BASE)
    return StudyConfig.model_validate({**base, **fields})


def test_seeds_are_named_or_counted() -> None:
    assert runs(splits=3).splits == runs(splits=[0, 1, 2]).splits == (0, 1, 2)
    assert runs(seeds=2).seeds == (0, 1)
    assert runs(supervisor_seeds=[5]).supervisor_seeds == (5,)


def test_cuts_supervisors_and_learners_are_nested() -> None:
    config = runs(splits=2, supervisor_seeds=[4, 5], learner_seeds=[7])
    found = [(one.seed, one.task.seed, one.weak.seed, one.strong.seed) for one in (
        config.experiments()
    )]  # fmt: skip
    assert found == [
        ("cut0-weak4-strong7", 0, 4, 7),
        ("cut0-weak5-strong7", 0, 5, 7),
        ("cut1-weak4-strong7", 1, 4, 7),
        ("cut1-weak5-strong7", 1, 5, 7),
    ]
    assert config.levels == {"split": 2, "weak": 2, "strong": 1}
    assert config.n_runs == 4


def test_only_what_is_varied_is_in_the_name_of_a_run() -> None:
    assert [one.seed for one in runs(splits=2).experiments()] == ["cut0", "cut1"]
    assert [one.seed for one in runs(learner_seeds=[3]).experiments()] == ["strong3"]
    assert [one.seed for one in runs().experiments()] == [""]
    assert runs().levels == {"split": 1, "weak": 1, "strong": 1}
    two = runs(seeds=2, vary=["weak", "split"])
    assert [(one.seed, one.task.seed, one.weak.seed, one.strong.seed) for one in (
        two.experiments()
    )] == [("0", 0, 0, 0), ("1", 1, 1, 0)]  # fmt: skip
    assert two.levels == {"split": 2, "weak": 2, "strong": 1}


def names_of_runs(tmp_path: Path, weak: str, seeds: str) -> list[str]:
    text = BASE.replace("{model: a}", weak) + seeds
    return [one.seed for one in load_config(write(tmp_path, text)).experiments()]


def test_a_supervisor_without_a_seed_is_not_run_again_for_each(tmp_path: Path) -> None:
    nested = "splits: 2\nsupervisor_seeds: [0, 4]\n"
    assert names_of_runs(tmp_path, "{model: a}", nested) == [
        "cut0-weak0",
        "cut0-weak4",
        "cut1-weak0",
        "cut1-weak4",
    ]
    labels = "{kind: labels, file: labels.csv}"
    assert names_of_runs(tmp_path, labels, nested) == ["cut0", "cut1"]
    learners = "supervisor_seeds: 2\nlearner_seeds: 2\n"
    assert names_of_runs(tmp_path, labels, learners) == ["strong0", "strong1"]
    assert names_of_runs(tmp_path, labels, "supervisor_seeds: 3\n") == [""]
    assert names_of_runs(tmp_path, labels, "seeds: [3, 5]\n") == ["3", "5"]
    assert names_of_runs(tmp_path, labels, "seeds: [3, 5]\nvary: [weak]\n") == ["3"]


def test_the_ceiling_of_a_study_may_be_a_probe() -> None:
    assert runs().ceiling == "finetuned"
    for one in runs(ceiling="logistic").experiments():
        assert one.ceiling == "logistic"


@pytest.mark.parametrize("quote", ["", "'"])
def test_a_slice_is_no_time_of_day(tmp_path: Path, quote: str) -> None:
    """YAML 1.1 reads 3:19:3 as 11943, three hours, nineteen minutes and three seconds."""
    config = tmp_path / "study.yaml"
    layers, rows = f"{quote}3:19:3{quote}", f"{quote}0:59{quote}"
    config.write_text(
        f"name: slices\ntask: {{name: a.csv, rows: {rows}}}\nweak: {{model: w}}\n"
        f"strong: {{model: s}}\nprobes: {{candidates: {{layers: {layers}}}}}\nmin_gap: 0.05\n"
    )
    study = load_config(str(config), [f"sweep.layers={layers}", "strong.epochs=3"])
    assert (study.task.rows, study.probes.candidates.layers) == ("0:59", "3:19:3")
    assert study.sweep is not None
    assert (study.sweep.layers, study.strong.epochs, study.min_gap) == ("3:19:3", 3, 0.05)
