from pathlib import Path

import numpy as np
import pytest

from tests.chats import LLAMA, chat
from tests.integrations.cases import CHATS, LAYER, TEXTS, saved
from tests.probes.test_card import CARD, CARD_ROWS
from tests.tiny import save_tiny_model
from w2sprobe.errors import InputError
from w2sprobe.integrations.monitor import Monitor
from w2sprobe.models import forget_models, load_tokenizer
from w2sprobe.probes import MassMeanProbe, load_card, load_probe, save_probe


@pytest.mark.parametrize(
    ("chats", "position"), [(True, "last"), (True, "assistant"), (False, "last"), (False, "mean")]
)
def test_single_rows_are_scored_as_the_rows_of_a_store(
    tmp_path: Path, chats: bool, position: str
) -> None:
    store = saved(tmp_path, chats=chats, position=position)
    monitor = Monitor(tmp_path / "probe", device="cpu")
    assert (monitor.reads_conversations, monitor.layer) == (chats, LAYER)
    assert monitor.threshold == load_card(tmp_path / "probe")[0].evaluation.threshold.p
    probe, values = load_probe(tmp_path / "probe"), store.read(LAYER)
    options = {"offsets": store.offsets} if store.ragged else {}
    expected = probe.predict_proba(values, **options)[:, 1]
    for row in (0, 7, 41):
        content = CHATS[row] if chats else TEXTS[row]
        assert monitor.p(content) == pytest.approx(expected[row], abs=1e-5)
    assert np.ptp(expected) > 0.01


def test_the_model_may_be_in_another_folder_and_is_known_by_its_content(tmp_path: Path) -> None:
    saved(tmp_path, chats=True)
    (tmp_path / "model").rename(tmp_path / "moved")
    forget_models()
    with pytest.raises(InputError, match="unknown model"):
        Monitor(tmp_path / "probe").p(CHATS[0])
    moved = str(tmp_path / "moved")
    assert 0 <= Monitor(tmp_path / "probe", model=moved).p(CHATS[0]) <= 1
    other = save_tiny_model("llama", tmp_path / "other", seed=1)
    tokenizer = load_tokenizer(moved)
    tokenizer.save_pretrained(other)
    with pytest.raises(InputError, match="activations with model"):
        Monitor(tmp_path / "probe", model=other).p(CHATS[0])
    tokenizer.chat_template = LLAMA
    tokenizer.save_pretrained(moved)
    forget_models()
    with pytest.raises(InputError, match="chat_template"):
        Monitor(tmp_path / "probe", model=moved).p(CHATS[0])


def test_texts_and_conversations_are_not_exchanged(tmp_path: Path) -> None:
    saved(tmp_path / "chats", chats=True)
    saved(tmp_path / "texts", chats=False)
    with pytest.raises(InputError, match=r"a str\. Allowed: conversations"):
        Monitor(tmp_path / "chats/probe").p("the film")
    with pytest.raises(InputError, match=r"a list\. Allowed: texts"):
        Monitor(tmp_path / "texts/probe").p(CHATS[0])
    with pytest.raises(InputError, match="role"):
        Monitor(tmp_path / "chats/probe").p([*chat("a"), {"role": "tool", "content": "b"}])


def test_a_probe_without_card_or_origin_is_refused(tmp_path: Path) -> None:
    X, y = np.eye(4, dtype=np.float32), [0, 1, 0, 1]
    save_probe(MassMeanProbe().fit(X, y), tmp_path / "bare")
    with pytest.raises(InputError, match="without a card"):
        Monitor(tmp_path / "bare")
    save_probe(MassMeanProbe().fit(X, y), tmp_path / "half", card=CARD, rows=CARD_ROWS)
    with pytest.raises(InputError, match="without its origin"):
        Monitor(tmp_path / "half")
