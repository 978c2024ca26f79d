"""The scorer in evaluations by Inspect, with its mock model; no network is used."""

import sys
from pathlib import Path

import pytest

from tests.integrations.cases import CHATS, LAYER, TEXTS, saved
from w2sprobe.errors import MissingDependency
from w2sprobe.integrations.inspect import NAME, probe_scorer
from w2sprobe.integrations.monitor import Monitor

QUESTION = CHATS[0][0]["content"]


class Words:
    """The mock model counts tokens, for which tiktoken would fetch a vocabulary."""

    def encode(self, text: str, **_: object) -> list[str]:
        return text.split()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("inspect_ai", reason="needs inspect_ai", exc_type=ImportError)
    import tiktoken

    monkeypatch.setattr(tiktoken, "get_encoding", lambda _: Words())


def evaluated(scorer: object, answers: list[str], folder: Path) -> object:
    import inspect_ai
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput, get_model

    outputs = [ModelOutput.from_content("mockllm/model", answer) for answer in answers]
    task = inspect_ai.Task(dataset=[Sample(input=QUESTION) for _ in answers], scorer=scorer)
    (log,) = inspect_ai.eval(
        task,
        model=get_model("mockllm/model", custom_outputs=outputs),
        log_dir=str(folder / "logs"),
        display="none",
        max_samples=1,
    )
    return log


@pytest.mark.filterwarnings("ignore")  # of the package
def test_conversations_of_an_evaluation_are_scored(installed: None, tmp_path: Path) -> None:
    saved(tmp_path, chats=True)
    answers = [TEXTS[3], TEXTS[8]]
    log = evaluated(probe_scorer(tmp_path / "probe", device="cpu"), answers, tmp_path)
    assert log.status == "success", log.error
    monitor = Monitor(tmp_path / "probe", device="cpu")
    expected = [monitor.p(CHATS[row]) for row in (3, 8)]
    scores = [sample.scores[NAME] for sample in log.samples]
    assert [score.value for score in scores] == pytest.approx(expected, abs=1e-6)
    for score, p in zip(scores, expected, strict=True):
        flagged = p > monitor.threshold
        assert score.metadata == {
            "layer": LAYER,
            "threshold": monitor.threshold,
            "flagged": flagged,
        }
    (summary,) = log.results.scores
    assert summary.metrics["mean"].value == pytest.approx(sum(expected) / 2, abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_probe_of_texts_reads_the_completion_or_what_it_is_told(
    installed: None, tmp_path: Path
) -> None:
    saved(tmp_path, chats=False)
    monitor = Monitor(tmp_path / "probe", device="cpu")
    default = probe_scorer(tmp_path / "probe", device="cpu")
    told = probe_scorer(
        tmp_path / "probe",
        device="cpu",
        read=lambda state: f"{state.input_text} {state.output.completion}",
    )
    for scorer, text in ((default, TEXTS[5]), (told, f"{QUESTION} {TEXTS[5]}")):
        log = evaluated(scorer, [TEXTS[5]], tmp_path)
        assert log.status == "success", log.error
        value = log.samples[0].scores[NAME].value
        assert value == pytest.approx(monitor.p(text), abs=1e-6)


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.scorer", None)
    with pytest.raises(MissingDependency, match=r"pip install 'w2sprobe\[inspect\]'"):
        probe_scorer(tmp_path)
