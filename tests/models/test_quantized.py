from pathlib import Path

import pytest

from tests.models.cases import set_config
from tests.tiny import save_tiny_model
from w2sprobe.errors import InputError, MissingDependency
from w2sprobe.models import describe_model


@pytest.mark.parametrize("method", ["gptq", "awq", "bitnet_of_tomorrow"])
def test_a_quantised_checkpoint_that_nothing_reads_is_refused(method: str, tmp_path: Path) -> None:
    model = save_tiny_model("llama", tmp_path / "model")
    set_config(model, quantization_config={"quant_method": method, "bits": 4})
    with pytest.raises(InputError, match=rf"weights of model .* are quantised \({method}\)"):
        describe_model(model)
    if method == "gptq":
        with pytest.raises(MissingDependency):
            describe_model(model)
