"""Changes to a saved model's files."""

import json
from pathlib import Path

from transformers import AutoModel

from tests.tiny import tiny_tokenizer


def set_config(model: str, **values: object) -> None:
    """Change entries of the config."""
    file = Path(model) / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def set_limit(model: str, limit: int | None) -> None:
    """Change the limit that the tokenizer was saved with; None removes it."""
    file = Path(model) / "tokenizer_config.json"
    content = json.loads(file.read_text())
    content.pop("model_max_length", None)
    if limit is not None:
        content["model_max_length"] = limit
    file.write_text(json.dumps(content))


def save(config, folder: Path) -> str:
    """Save a random model of a config, with a tokenizer of words."""
    AutoModel.from_config(config).save_pretrained(folder)
    tiny_tokenizer("llama", "right").save_pretrained(folder)
    return str(folder)


def weights_of(model: str) -> Path:
    """File of the weights."""
    return Path(model) / "model.safetensors"
