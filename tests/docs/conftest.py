import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chats import CHATML
from tests.tiny import WORDS, save_tiny_model
from w2sprobe import assets
from w2sprobe.models import forget_models

POSITIVE, NEGATIVE = {"good", "great", "liked", "warm"}, {"bad", "awful", "hated", "cold"}
CONTEXT = 2048
LAYERS = 4
# by the names of the assets that they stand in for; initial weights are large, so that a row's
# vector depends on all of its words
TINY = {
    "minilm-l6": ("bert", {}),
    "smollm2-135m": (
        "qwen2",
        {"num_hidden_layers": LAYERS, "layer_types": ["full_attention"] * LAYERS},
    ),
}


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for W2SPROBE_HOME: tiny models under the names of the demo's, its real data."""
    if not assets.is_fetched("bigbench"):
        pytest.fail("bigbench is needed: run `make fetch`")
    home = tmp_path_factory.mktemp("home")
    (home / "assets").mkdir()
    (home / "assets/bigbench").symlink_to(assets.asset_path("bigbench"))
    for name, (architecture, config) in TINY.items():
        folder = home / "assets" / name
        save_tiny_model(
            architecture, folder, max_position_embeddings=CONTEXT, initializer_range=0.3, **config
        )
        tokenizer = folder / "tokenizer_config.json"
        settings = json.loads(tokenizer.read_text()) | {"model_max_length": CONTEXT}
        tokenizer.write_text(json.dumps(settings))
        if name == "smollm2-135m":  # as in real life, minilm-l6 has none
            (folder / "chat_template.jinja").write_text(CHATML)
        (folder / assets.MANIFEST).write_text(json.dumps(assets.identity(name)))
    return home


@pytest.fixture
def tiny_models(tiny_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tiny models under the names of real ones, which are described anew after the test."""
    monkeypatch.setenv("W2SPROBE_HOME", str(tiny_home))
    forget_models()
    yield
    forget_models()


def write_reviews(path: Path, n_rows: int = 240) -> None:
    """Sentences of words that the tiny models know, label 1 where kind words are more."""
    generator = random.Random(0)
    lines = ["text,label"]
    while len(lines) <= n_rows:
        words = generator.choices(WORDS, k=generator.randint(5, 12))
        kind = sum((word in POSITIVE) - (word in NEGATIVE) for word in words)
        if kind:
            lines.append(f"{' '.join(words)},{int(kind > 0)}")
    path.write_text("\n".join(lines) + "\n")
