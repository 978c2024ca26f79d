"""Every mistake of a user: exit status 2, one message with value and remedy, nothing written."""

from pathlib import Path

import pytest

from tests.integration.conftest import Workplace

GOOD = "".join(f"sentence number {n} is {'good' if n % 2 else 'bad'},{n % 2}\n" for n in range(400))
FILES = {
    "good.csv": "text,label\n" + GOOD,
    "label.csv": "text,label\n" + GOOD + "an odd one,2\n",
    "empty.csv": "text,label\n" + GOOD + '"  ",1\n',
    "one.csv": "text,label\n" + GOOD.replace(",0\n", ",1\n"),
    "column.csv": "sentence,label\n" + GOOD,
    "long.csv": "text,label\n" + GOOD + "word " * 9000 + ",1\n",
    "broken.jsonl": '{"text": "a", "label": 0}\n{"text": "b", "label": 1\n',
    "third.csv": "text,label\n" + GOOD + "an odd one,maybe\n",
    "ids.csv": "text,label,id\nfirst,0,x\nsecond,1,y\nthird,0,x\n",
    "number.jsonl": '{"text": 12, "label": 0}\n',
    "latin.csv": "text,label\ncaf\xe9,1\n",
    "crowd.csv": "text,label,group\n" + "".join(f"sentence {n},{n % 2},x\n" for n in range(400)),
    "rows.py": "def few():\n    return [{'text': 'a', 'label': 0}]\n\n"
    "def bad():\n    return 1 / 0\n",
    "file": "in the way",
    "key.yaml": "name: x\ntask: {name: good.csv}\nweak: {model: minilm-l6, learning_rat: 1}\n"
    "strong: {model: smollm2-135m}\n",
    "type.yaml": "name: x\ntask: {name: good.csv}\nweak: {model: minilm-l6, epochs: many}\n"
    "strong: {model: smollm2-135m}\n",
    "method.yaml": "name: x\ntask: {name: good.csv}\nweak: {model: minilm-l6}\n"
    "strong: {model: smollm2-135m}\nmethods: [student, knn_relabl]\n",
    "loss.yaml": "name: x\ntask: {name: good.csv}\nweak: {model: minilm-l6, loss: hinge}\n"
    "strong: {model: smollm2-135m}\n",
    "layer.yaml": "name: x\ntask: {name: good.csv}\nweak: {model: minilm-l6}\n"
    "strong: {model: smollm2-135m}\nprobes: {layer: 31, n_neighbors: 5}\n",
    "k.yaml": "name: x\ntask: {name: good.csv}\nweak: {model: minilm-l6}\n"
    "strong: {model: smollm2-135m}\nprobes: {n_neighbors: 500}\n",
}
RUN = ("run", "--preset", "smoke")
CASES = [
    ((*RUN, "--weak-model", "minilm-l7"), ["minilm-l7", "minilm-l6", "local folder"]),
    ((*RUN, "--task", "bigbench:multiemo/all_sentence_xx"), ["all_sentence_xx"]),
    ((*RUN, "--task", "no.csv"), ["no.csv"]),
    ((*RUN, "--task", "label.csv"), ["label", "2", "row 401", "0 or 1", "label.csv"]),
    ((*RUN, "--task", "empty.csv"), ["text", "row 401", "empty.csv"]),
    ((*RUN, "--task", "one.csv"), ["only label 1", "one.csv"]),
    ((*RUN, "--task", "column.csv"), ["'text'", "sentence", "column.csv"]),
    ((*RUN, "--task", "good.csv", "--sizes", "300,300,100,500"), ["too few rows", "200"]),
    ((*RUN, "--task", "good.csv", "--sizes", "3,4,4,4"), ["3", "even"]),
    ((*RUN, "--task", "good.csv", "--sizes", "a,b"), ["'a,b'", "four numbers"]),
    ((*RUN, "--task", "long.csv"), ["tokens", "up to", "--truncate"]),
    ((*RUN, "--out", "file/results"), ["file/results", "not a folder"]),
    (("run", "key.yaml"), ["weak.learning_rat", "learning_rate", "key.yaml"]),
    (("run", "type.yaml"), ["weak.epochs", "'many'", "type.yaml"]),
    (("run", "method.yaml"), ["knn_relabl", "knn_relabel", "topofilter"]),
    (("run", "loss.yaml"), ["hinge", "xent", "logconf"]),
    (("run", "layer.yaml"), ["31", "0 to 30"]),
    (("run", "k.yaml"), ["500", "n_neighbors"]),
    (("run", "no.yaml"), ["no.yaml"]),
    (("run", "dmeo"), ["dmeo", "demo"]),
    (("run",), ["--preset"]),
    (("run", "--preset", "nope"), ["nope", "smoke"]),
    (("fetch", "minilm"), ["'minilm'", "minilm-l6"]),
    *(
        (("tasks", "split", name, "--out", "splits.parquet", *given), parts)
        for name, given, parts in (
            ("broken.jsonl", (), ["broken.jsonl, line 2", "JSON"]),
            ("third.csv", (), ["third.csv", "row 401", "'maybe'", "0 or 1"]),
            ("ids.csv", (), ["ids.csv", "'x'", "row 3", "row 1"]),
            ("number.jsonl", (), ["number.jsonl, line 1", "12", "text"]),
            ("latin.csv", (), ["latin.csv", "UTF-8", "0xe9"]),
            ("crowd.csv", (), ["'x' has 400 rows", "crowd.csv", "at most", "finer groups"]),
            ("good.csv", ("--sizes", ".9,.9,.1,.1"), ["too few rows", "found 200 and 200"]),
            ("good.csv", ("--positive", "x"), ["--positive", "good.csv"]),
            ("good.csv", ("--formatting", "published"), ["published", "good.csv"]),
            ("bolq", (), ["'bolq'", "Did you mean 'boolq'"]),
            ("boolq", (), ["google/boolq", "W2SPROBE_HUB_MIRROR", "tasks mirror"]),
            ("rows:many", (), ["'many'", "'rows'"]),
            ("rows:few", (), ["only label 0", "rows:few"]),
            ("rows:bad", (), ["ZeroDivisionError", "rows.py:5"]),
            ("bigbench:strategyqb", (), ["strategyqb", "strategyqa"]),
            ("bigbench:emoji_movie", ("--positive", "a", "--negative", "b"), ["'b'", "class"]),
        )
    ),
    (("tasks", "audit", "good.csv", "--model", "minilm-l7"), ["minilm-l7", "minilm-l6"]),
    (("tasks", "mirror", "bolq", "--to", "hub"), ["'bolq'", "boolq"]),
    (("tasks", "mirror", "boolq", "--to", "file"), ["'file' is a file"]),
    (("extract", "--model", "smollm2-135m", "--task", "good.csv", "--layers", "99"), ["99", "30"]),
    (
        ("train", "--model", "minilm-l6", "--task", "good.csv", "--out", "o", "--loss", "mse"),
        ["mse", "xent"],
    ),
    *(
        (("train", "--model", "minilm-l6", "--task", "good.csv", "--out", "o", *given), parts)
        for given, parts in (
            (("--epochs", "0"), ["--epochs is 0", "greater than or equal to 1"]),
            (("--full", "--lora-from-layer", "2"), ["full trains all weights", "lora_from_layer"]),
            (("--report-to", "smoke"), ["--report-to is 'smoke'", "tensorboard"]),
            (("--window-radius", "7"), ["--window-radius is '7'", "0 to 0.5"]),
        )
    ),
    (
        ("train", "--model", "minilm-l6", "--task", "good.csv", "--out", "o", "--labels", "x.pq"),
        ["x.pq"],
    ),
    (
        ("train", "--model", "minilm-l6", "--task", "good.csv", "--out", "file"),
        ["file", "not a folder"],
    ),
    (
        ("probe", "knn", "--store", "none", "--labels", "x", "--task", "good.csv", "--out", "o.pq"),
        ["none"],
    ),
    (
        ("probe", "topofilter", "relabel", "--store", "s", "--labels", "x", "--task", "good.csv",
         "--out", "o.pq"),
        ["topofilter", "relabel", "filter"],
    ),
    *(
        (("probe", "knn", "--store", "s", "--labels", "x", "--out", "o.pq", *given), parts)
        for given, parts in (
            (("--ks", "1,ten"), ["--ks is '1,ten'", "numbers separated by commas"]),
            (("--l2s", "0"), ["--l2s is '0'", "above 0"]),
            (("--contamination", "1"), ["--contamination is '1'", "below 1, or auto"]),
            (("--backend", "faiss"), ["'faiss'", "faiss-cpu"]),
            (("--contamination", "0.2"), ["'s'"]),
        )
    ),
    *(
        (("sweep", "s", "--labels", "x", "--out", "o", *given), parts)
        for given, parts in (
            (("--ks", "200:1:log10"), ["--ks is '200:1:log10'", "1:200:log10"]),
            (("--l2s", "0,1"), ["--l2s is '0,1'", "above 0"]),
            (("--cv", "1"), ["--cv", "1"]),
            (("--true-labels", "-1"), ["--true-labels", "-1"]),
            (("--figure", "file/f.png"), ["'file'", "not a folder"]),
            ((), ["'s'"]),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "parts"), CASES, ids=[" ".join(c[0]) for c in CASES])
def test_a_mistake_exits_with_2_and_writes_nothing(
    arguments: tuple[str, ...], parts: list[str], empty: Workplace
) -> None:
    for name, text in FILES.items():
        (empty.folder / name).write_text(text, encoding="latin-1")
    before = empty.files()
    done = empty.run(*arguments)
    assert done.returncode == 2, done.stderr
    for part in parts:
        assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert empty.files() == before
    assert not (empty.folder / "cache").exists()


def test_an_asset_that_is_not_fetched_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W2SPROBE_HOME", str(tmp_path / "home"))
    done = Workplace(tmp_path).run(*RUN)
    assert done.returncode == 2
    assert "w2sprobe fetch minilm-l6" in done.stderr
    assert not (tmp_path / "home").exists()
