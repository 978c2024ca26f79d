"""Tokens of a task's rows, by a model's own tokenizer."""

from w2sprobe.audit.texts import ModelLengths
from w2sprobe.data import Splits
from w2sprobe.models import describe_model, load_tokenizer
from w2sprobe.tokens import tokenize


def count_tokens(model: str, splits: Splits) -> ModelLengths | None:
    """Count the tokens of every row.

    Parameters
    ----------
    model : str
        Asset, local folder or hub name; no weights are loaded.
    splits : Splits

    Returns
    -------
    ModelLengths or None
        None: the model has no limit.

    Raises
    ------
    InputError
        No such model.
    """
    info = describe_model(model)
    if info.max_tokens is None:
        return None
    tokenizer = load_tokenizer(info.source)
    return ModelLengths(
        info.max_tokens,
        {
            name: tokenize(tokenizer, rows.ids.tolist(), rows.texts, max_tokens=None).lengths
            for name, rows in splits.items()
        },
    )
