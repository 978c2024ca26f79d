"""Every preset planned on the tasks it names, from made-up files of theirs: rows and groups."""

import itertools
import string
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data import hub_rows
from tests.tiny import save_tiny_model
from w2sprobe import assets
from w2sprobe.atomic import write_json
from w2sprobe.data.bigbench_curated import CURATED
from w2sprobe.data.hub import MIRROR
from w2sprobe.experiments.config import PRESETS, TaskConfig, load_config
from w2sprobe.experiments.forecast import forecast
from w2sprobe.experiments.plan import make_plan
from w2sprobe.experiments.preregistration import declare

SPLIT_ROWS = 96  # of each made-up split; more would meet the next one's
BIGBENCH_ROWS = 2600
SLICED_ROWS = 16_000  # of tasks of which a preset takes a part
SETTINGS = {
    "cpu": ["strong.lora_from_layer=1"],  # of three layers
    "smoke": ["strong.lora_from_layer=1"],
    "student": ["strong.lora_from_layer=1"],
    "published": ["probes.n_neighbors=3"],  # of fewer rows than 50
}
GROUPED = {
    "cpu": 1,
    "demo": 0,
    "probes": 2,
    "published": 21,
    "recommended": 21,
    "smoke": 0,
    "student": 0,
}  # of the tasks
# what the curated task's pattern finds is the same in two rows
QUESTIONS = {
    "fact_checker/fever": "This claim was made: {pair} film, and it is number {row}.",
    "winowhy": "The {pair} was good. The 'it' refers to {row}.",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "weak": save_tiny_model("bert", folder / "weak"),
        "strong": save_tiny_model("llama", folder / "strong"),
    }


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hub's repositories, large enough for four splits of each task."""
    folder = tmp_path_factory.mktemp("mirror")
    few = hub_rows._rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_rows, "_rows", lambda make, start, _: few(make, start, SPLIT_ROWS))
        for repo, build in hub_rows.BUILDERS.items():
            for name, part in build().items():
                rows = [_with_own_word(row) if "word" in row else row for row in part.rows]
                hub_rows.write_part(folder / repo / name, rows, part.schema)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the BIG-bench tasks of the presets."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("W2SPROBE_HOME", str(folder))
        asset = assets.asset_path("bigbench")
    tasks: dict[str, list[TaskConfig]] = {}
    for preset in PRESETS:
        for one in load_config(preset).experiments():
            if one.task.name.startswith("bigbench:"):
                tasks.setdefault(one.task.name.removeprefix("bigbench:"), []).append(one.task)
    for name, cut in tasks.items():
        path = asset / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        n_rows = SLICED_ROWS if any(isinstance(one.rows, str) for one in cut) else BIGBENCH_ROWS
        given = [
            side
            for one in [*cut, CURATED.get(name)]
            if one
            for side in (one.positive, one.negative)
        ]
        classes = sorted({side for side in given if side is not None})
        rows = [_row(name, classes, number, word) for number, word in enumerate(_words(n_rows))]
        inputs, scores = zip(*rows, strict=True)
        columns = {"input": inputs, "target_scores": scores}
        pq.write_table(pa.table(columns, schema=assets.BIGBENCH_SCHEMA), path)
    write_json(asset / assets.MANIFEST, assets.identity("bigbench"))
    return folder


def _with_own_word(row: hub_rows.Row) -> hub_rows.Row:
    """Three words are all in the test rows as well, where a group is tested or trained on."""
    return {**row, "word": f"{row['word']} {row['idx'] // 4}"}


def _words(n_rows: int) -> list[str]:
    """One of letters alone for every two rows."""
    words = map("".join, itertools.product(string.ascii_lowercase, repeat=3))
    return [word for word in itertools.islice(words, n_rows // 2) for _ in range(2)]


def _row(
    name: str, classes: list[str], number: int, word: str
) -> tuple[str, list[tuple[str, float]]]:
    if not classes:
        return f"What about {word}?", [(f"{number} is", 1.0), (f"{number} is not", 0.0)]
    question = QUESTIONS.get(name, "{pair} number {row}").format(pair=word, row=number)
    right = number // 2 % len(classes)
    return question, [(side, float(at == right)) for at, side in enumerate(classes)]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_planned_on_its_own_tasks(
    preset: str,
    models: dict[str, str],
    mirror: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(MIRROR, str(mirror))
    monkeypatch.setenv("W2SPROBE_HOME", str(home))
    settings = ["zero_shot.answers=[bad, good]", *SETTINGS.get(preset, [])]
    weak = load_config(preset).weak
    probes = weak if isinstance(weak, tuple) else (weak,)
    if probes[0].kind == "probe":
        probe = f"{{kind: probe, model: {models['weak']}, rows: 60}}"
        settings += [f"weak=[{probe}, {{kind: ngrams}}]", "sweep.layers=all"]
        settings += ["probes.candidates.layers=all", "splits=2"]
        models = {"strong": models["strong"], "weak": None}
    config = load_config(preset, settings).with_models(**models, truncate=True)
    plan = make_plan(config, cache=tmp_path / "cache", out=tmp_path / "out")
    grouped = {
        one.config.task.name
        for one in plan.experiments
        if one.splits.strong_train.groups is not None
    }
    assert len(grouped) == GROUPED[preset]
    assert len(forecast(plan).stages) == len(plan.stages)
    declaration = declare(plan)
    assert {one.task for one in declaration.design.tasks} == {*forecast(plan).splits}
    assert {config.analysis.against, *declaration.family, *declaration.outside} == set(
        config.methods
    ) - {
        "weak",
        "ceiling",
    }
