"""Counts a model's parameters, from its config alone where it is not loaded."""

import functools
from dataclasses import dataclass

import torch
from transformers import AutoModel, PreTrainedModel

from w2sprobe.models.describe import ModelInfo, read_config
from w2sprobe.models.loading import text_model
from w2sprobe.models.states import blocks_of


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters of a text model.

    Parameters
    ----------
    total : int
        All parameters.
    blocks : int
        Parameters of the matrices that every token is multiplied by: all but the embeddings.
    sides : int
        Sum of the rows and columns of these matrices; a low-rank update of rank r has r times as
        many parameters.
    """

    total: int
    blocks: int
    sides: int


@functools.cache
def _without_weights(source: str) -> PreTrainedModel:
    """Text model on the meta device: shapes and modules, no values."""
    with torch.device("meta"):
        whole: PreTrainedModel = AutoModel.from_config(  # type: ignore[no-untyped-call]
            read_config(source), trust_remote_code=False
        )
    return text_model(whole)


def has_blocks(source: str) -> bool:
    """Whether the text model's blocks are in one list; only the config is read."""
    return blocks_of(_without_weights(source)) is not None


@functools.cache
def count_parameters(source: str) -> ParameterCounts:
    """Count the parameters of a text model without loading its weights.

    Parameters
    ----------
    source : str
        Local folder or hub name; only the config is read.
    """
    return parameters_of(_without_weights(source))


def parameters_of(network: torch.nn.Module) -> ParameterCounts:
    """Count the parameters of a text model; its weights may be on the meta device."""
    embeddings = {
        id(module.weight) for module in network.modules() if isinstance(module, torch.nn.Embedding)
    }
    weights = list(network.parameters())
    matrices = [weight for weight in weights if weight.ndim == 2 and id(weight) not in embeddings]
    return ParameterCounts(
        total=sum(weight.numel() for weight in weights),
        blocks=sum(weight.numel() for weight in matrices),
        sides=sum(sum(weight.shape) for weight in matrices),
    )


def forward_flops(info: ModelInfo, layer: int, n_tokens: float) -> float:
    """Floating-point operations of a forward pass over one row, up to the output of a layer.

    Parameters
    ----------
    layer : int
        Index into the hidden states: number of blocks that are run.
    n_tokens : float
        Tokens of the row.

    Notes
    -----
    For each token, 2 N + 2 x blocks x tokens x width (Kaplan et al. 2020, arXiv 2001.08361, table
    1): a product and a sum for each of the N weights of these blocks, and the products inside
    causal attention, which each token has with half of the others on average.
    """
    weights = count_parameters(info.source).blocks * layer / info.n_layers
    return n_tokens * (2.0 * weights + 2.0 * layer * n_tokens * info.hidden_size)
