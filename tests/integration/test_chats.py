"""A study of conversations: probes on both sides, finetuned students, labels and votes."""

import json
from pathlib import Path

import pytest
import yaml

from tests.chats import CHATML, GEMMA, chat
from tests.extraction.test_chats import with_template
from tests.integration.conftest import Workplace
from tests.tiny import sentences

CONFIG = {
    "name": "chats",
    "task": {
        "name": "chats.jsonl",
        "sizes": {"weak_train": 24, "strong_train": 24, "val": 8, "test": 24},
    },
    "weak": {"kind": "probe", "model": "weak", "position": "last-assistant"},
    "strong": {"model": "strong", "epochs": 1, "batch_size": 8},
    "probes": {"position": "last-assistant", "n_neighbors": 5},
    "methods": ["student", "logistic_probe", "knn_relabel"],
}


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    with_template(tmp_path / "weak", GEMMA)
    with_template(tmp_path / "strong", CHATML)
    questions = sorted(set(sentences(60, longest=8)))
    rows = [
        {
            "messages": chat(question, "it was good" if right else "it was bad"),
            "label": int(right),
            "group": number,
        }
        for number, question in enumerate(questions)
        for right in (False, True)
    ]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(CONFIG))
    return Workplace(tmp_path)


def test_a_study_of_conversations(place: Workplace) -> None:
    done = place.run("run", "study.yaml")
    assert done.returncode == 0, done.stderr
    assert "logistic_probe" in done.stdout
    again = place.run("run", "study.yaml", "--dry-run")
    assert again.returncode == 0, again.stderr
    with (place.folder / "strong" / "chat_template.jinja").open("a") as template:
        template.write(" ")
    changed = place.run("run", "study.yaml", "--dry-run")
    assert changed.returncode == 0, changed.stderr
    # all that reads the strong model's conversations would run again
    assert "10 of 10 done" in again.stdout
    assert "3 of 10 done" in changed.stdout
    asked = place.run(
        "predict", "--model", "strong", "--task", "chats.jsonl", "--zero-shot", "--out", "asked"
    )
    assert asked.returncode == 2, asked.stderr
    assert "zero-shot prompt with conversations" in asked.stderr
