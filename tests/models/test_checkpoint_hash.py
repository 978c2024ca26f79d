from pathlib import Path

from tests.tiny import save_tiny_model
from w2sprobe import fingerprint as fingerprint_module
from w2sprobe.models import (
    describe_model,
    forget_models,
)


def test_the_hash_of_large_weights_is_remembered_until_they_change(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("W2SPROBE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("w2sprobe.models.describe.REMEMBER_BYTES", 1000)
    model = Path(save_tiny_model("llama", tmp_path / "model"))
    hashed = []
    real = fingerprint_module.sha256_file
    monkeypatch.setattr(
        "w2sprobe.models.describe.sha256_file", lambda file: hashed.append(file.name) or real(file)
    )

    def identity() -> dict:
        forget_models()
        return describe_model(str(model)).identity

    first = identity()
    assert "model.safetensors" in hashed
    hashed.clear()
    assert identity() == first
    assert "model.safetensors" not in hashed
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (model / "model.safetensors").write_bytes(data)
    assert identity()["weights"] != first["weights"]
