from pathlib import Path

from tests.tiny import save_tiny_model
from w2sprobe.extraction import store_identity
from w2sprobe.fingerprint import fingerprint
from w2sprobe.models import (
    describe_model,
)


def test_another_tokenizer_weight_or_text_is_another_address(tmp_path: Path) -> None:
    identities = []
    for change in ("", "tokenizer", "weights"):
        model = save_tiny_model("llama", tmp_path / f"model{change}", seed=change == "weights")
        if change == "tokenizer":
            path = Path(model) / "tokenizer.json"
            path.write_text(path.read_text().replace('"never"', '"always"'))
        identities.append(store_identity(describe_model(model), ["a"], ["good film"]))
    identities.append(
        store_identity(describe_model(str(tmp_path / "model")), ["a"], ["good films"])
    )
    assert len({fingerprint(identity) for identity in identities}) == 4
