"""A probe on a random model with a chat template, saved with its card."""

from pathlib import Path

import numpy as np

from tests.chats import CHATML, chat
from tests.tiny import save_tiny_model, sentences
from w2sprobe import extract
from w2sprobe.cache import ActivationStore
from w2sprobe.labels import LabelTable
from w2sprobe.models import load_tokenizer
from w2sprobe.probing.cards import keep_probe
from w2sprobe.probing.probe import predict_store
from w2sprobe.probing.rows import ProbedRows
from w2sprobe.probing.spec import VoteSpec

LAYER, N = 2, 60
TEXTS = sorted(set(sentences(90, longest=6)))[:N]
CHATS = [chat("was the film good", text) for text in TEXTS]
TRUTH = np.arange(N) % 2


def saved(folder: Path, *, chats: bool, position: str = "last") -> ActivationStore:
    """Save model, store and probe in a folder."""
    model = save_tiny_model("llama", folder / "model")
    tokenizer = load_tokenizer(model)
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(model)
    column, contents = ("messages", CHATS) if chats else ("text", TEXTS)
    data = [{"id": str(row), column: content} for row, content in enumerate(contents)]
    store = extract(model, data, folder / "store", layers=[LAYER], position=position)
    truth = LabelTable(store.ids, TRUTH)
    rows = ProbedRows("strong_train", store.ids[:30], {"test": store.ids[30:]}, truth)
    kind = "attention" if store.ragged else "logistic"
    tokens = {"steps": 20, "n_heads": 1}
    probes = {kind: (0.01,)}
    spec = VoteSpec(layers=str(LAYER), probes=probes, tokens=tokens, preprocess="standardize")
    output = predict_store(store, spec, rows, truth, device="cpu")
    options = {"name": "chats", "fpr": 0.2, "device": "cpu"}
    keep_probe(store, spec, rows, truth, output, **options).save(folder / "probe")
    return store
