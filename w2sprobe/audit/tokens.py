"""Token counts of a task's rows, by a model's own tokenizer."""

from w2sprobe.audit.texts import ModelLengths
from w2sprobe.data import SPLIT_NAMES, Splits
from w2sprobe.models import describe_model, load_tokenizer
from w2sprobe.tokens import tokenize


def count_tokens(model: str, splits: Splits, names: tuple[str, ...] = SPLIT_NAMES) -> ModelLengths:
    """Count the tokens of every row.

    Parameters
    ----------
    model : str
        Asset, local folder or hub name; no weights are loaded.
    names : tuple of str
        Splits that the model reads.

    Raises
    ------
    InputError
        Unknown model.
    """
    info = describe_model(model)
    tokenizer = load_tokenizer(info.source)
    return ModelLengths(
        info.max_tokens,
        {
            name: tokenize(
                tokenizer,
                splits[name].ids.tolist(),
                splits[name].texts,
                max_tokens=None,
                chats=splits[name].chats,
            ).lengths
            for name in names
        },
    )
