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
    monkeypatch.setattr("w2sprobe.models.checkpoint_hash.REMEMBER_BYTES", 1000)
    model = Path(save_tiny_model("llama", tmp_path / "model"))
    hashed = []
    real = fingerprint_module.sha256_file
    monkeypatch.setattr(
        "w2sprobe.models.checkpoint_hash.sha256_file",
        lambda file: hashed.append(file.name) or real(file),
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


def test_every_file_of_a_tokenizer_is_part_of_the_identity(tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    before = describe_model(model).identity
    for name in ("added_tokens.json", "source.spm", "dict.txt"):
        forget_models()
        (Path(model) / name).write_text("{}")
        after = describe_model(model).identity
        assert after != before, name
        before = after
