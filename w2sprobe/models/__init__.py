"""Models by name, folder or asset: their description, text model and hidden states."""

from w2sprobe.models.causal import check_head, load_causal
from w2sprobe.models.counting import (
    ParameterCounts,
    count_parameters,
    forward_flops,
    has_blocks,
    parameters_of,
)
from w2sprobe.models.describe import (
    DTYPES,
    ModelInfo,
    computing_type,
    describe_model,
    forget_models,
    load_tokenizer,
    read_config,
)
from w2sprobe.models.families import n_blocks, text_config
from w2sprobe.models.files import check_weights
from w2sprobe.models.library_errors import reading, running
from w2sprobe.models.loading import POOLER, check_loaded, load_base, text_model
from w2sprobe.models.passes import CPU_TOKENS, token_bytes, tokens_per_pass
from w2sprobe.models.quantized import FOUR_BITS, quantization_of
from w2sprobe.models.states import blocks_of, hidden_states

__all__ = [
    "CPU_TOKENS",
    "DTYPES",
    "FOUR_BITS",
    "POOLER",
    "ModelInfo",
    "ParameterCounts",
    "blocks_of",
    "check_head",
    "check_loaded",
    "check_weights",
    "computing_type",
    "count_parameters",
    "describe_model",
    "forget_models",
    "forward_flops",
    "has_blocks",
    "hidden_states",
    "load_base",
    "load_causal",
    "load_tokenizer",
    "n_blocks",
    "parameters_of",
    "quantization_of",
    "read_config",
    "reading",
    "running",
    "text_config",
    "text_model",
    "token_bytes",
    "tokens_per_pass",
]
