"""Zero-shot and few-shot predictions of a language model, without finetuning.

The model reads a row's text and a cue; the prediction compares the next-token logits of two
answers. The language-model head is cut to the rows of these tokens.
"""

import copy
import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from scipy.special import expit
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from w2sprobe.data import Rows
from w2sprobe.data.coin import Coin
from w2sprobe.devices import resolve_device
from w2sprobe.errors import IdMismatch, InputError, first_few
from w2sprobe.labels import LabelTable
from w2sprobe.models import (
    ModelInfo,
    check_head,
    computing_type,
    describe_model,
    load_causal,
    load_tokenizer,
    running,
)
from w2sprobe.progress import progress_bar
from w2sprobe.tokens import (
    TOKENIZER_OPTIONS,
    check_vocabulary,
    count_doubled_bos,
    length_sorted_batches,
    pad,
    warn_of_doubled_bos,
)
from w2sprobe.training.predict import BATCH_TOKENS

ANSWERS = ("No", "Yes")  # of label 0 and of label 1
# Largest relative difference of earlier logits where only the last token differs; both rows go
# through the same kernels, so that a causal model's are mostly equal bit for bit.
CAUSAL_TOLERANCE = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-2}
MIN_SHARED_TOKENS = 16  # a shorter common start of all prompts is not worth a cache
CACHED_TOKENS = 16_384  # of a batch's copies of the common start; 128 KiB each in an 8B model


def zero_shot(
    model: str,
    rows: Rows,
    *,
    shots: Rows | None = None,
    answers: tuple[str, str] = ANSWERS,
    question: str = "",
    device: str = "auto",
    truncate: bool = False,
) -> LabelTable:
    """Predict with the language-model head, after no or a few labelled examples.

    Parameters
    ----------
    model : str
        Asset name, local folder or hub name of a causal language model.
    rows : Rows
        Their labels are not read.
    shots : Rows, optional
        Labelled examples that precede every row (few-shot, Brown et al., arXiv 2005.14165);
        `choose_shots` takes balanced ones.
    answers : tuple of str, default ("No", "Yes")
        Words for label 0 and label 1, without a leading space.
    question : str, default ""
        Line between a row's text and the cue, such as "Is this review positive?".
    truncate : bool, default False
        Cut texts whose prompt exceeds the model's context, and warn.

    Returns
    -------
    LabelTable
        P(label = 1) = exp(z1) / (exp(z0) + exp(z1)), with z the logits of the first token in
        which the answers differ; float64, in the order of `rows`.

    Raises
    ------
    InputError
        No such model or device; no language-model head; conversations; answers that differ only
        after their first token; a prompt longer than the context.
    IdMismatch
        A row is one of its own examples.

    Notes
    -----
    A prompt is the text, the question if there is one, and the cue `Answer (Yes or No):`, each on
    its own line. A model's bias towards one answer is not corrected: contextual calibration (Zhao
    et al., arXiv 2102.09690) shifts all log-odds alike, which does not change the AUC.
    """
    info = describe_model(model)
    resolved = resolve_device(device)
    check_head(info)
    check_texts(rows)
    template, tokenizer = PromptTemplate(answers, question), load_tokenizer(info.source)
    check_answers(tokenizer, template)
    examples = ""
    if shots is not None:
        _check_not_among(shots, rows)
        examples = template.examples(shots)
    to_tokens = _PromptTokenizer(tokenizer, template, examples)
    prompts, n_cut = _prompts_in_context(to_tokens, rows, info, truncate=truncate)
    input_ids = [prompt.input_ids for prompt in prompts]
    answer_tokens = np.array([p.answer_tokens for p in prompts], dtype=np.int64).reshape(-1, 2)
    head_rows, columns = np.unique(answer_tokens, return_inverse=True)
    network = _load(info, head_rows, resolved)
    _check_causal(network, max(input_ids, key=len), info)
    logits = _logits(
        network, input_ids, n_tokens=len(head_rows), pad_id=info.pad_id, name=info.name
    )
    of_answers = np.take_along_axis(logits, columns.reshape(len(rows), 2), axis=1)
    if n_cut:
        warnings.warn(
            f"{n_cut} of {len(rows)} texts were cut so that their prompts fit into "
            f"{info.max_tokens} tokens, the context of {info.name}",
            stacklevel=2,
        )
    # softmax over the two answers is the sigmoid of their difference
    return LabelTable(rows.ids, expit(of_answers[:, 1] - of_answers[:, 0]))


def _check_not_among(shots: Rows, rows: Rows) -> None:
    both = sorted(set(shots.ids.tolist()) & set(rows.ids.tolist()))
    if both:
        raise IdMismatch(
            f"rows {first_few(both)} are among the examples, which show their labels",
            advice="Leave them out of the rows.",
        )


def choose_shots(rows: Rows, n_shots: int) -> Rows:
    """Choose examples for `zero_shot`: equally many of each label, in the order of id hashes.

    Parameters
    ----------
    rows : Rows
        Candidates; their order has no influence.
    n_shots : int
        Even, at least 2.

    Returns
    -------
    Rows
        Half with label 0, half with label 1, mixed by hash.

    Raises
    ------
    InputError
        An odd number, none, or too few rows of a label.
    """
    if n_shots < 2 or n_shots % 2:
        raise InputError(f"{n_shots} examples", allowed="2, 4, 6, ...: half of them of each label")
    order = sorted(range(len(rows)), key=lambda row: Coin.of(str(rows.ids[row])).digest)
    taken: list[int] = []
    for label in (0, 1):
        of_label = [row for row in order if rows.labels[row] == label][: n_shots // 2]
        if len(of_label) < n_shots // 2:
            raise InputError(
                f"{len(of_label)} rows of label {label} to take examples from",
                allowed=f"at least {n_shots // 2}, for {n_shots} examples",
            )
        taken += of_label
    return rows.select([row for row in order if row in taken])


@dataclass(frozen=True)
class PromptTemplate:
    """Template of a prompt: the text, a question, and a cue for the answer.

    Parameters
    ----------
    answers : tuple of str
        Words for label 0 and label 1.
    question : str
        Line after the text; none if empty.
    """

    answers: tuple[str, str]
    question: str

    def prompt(self, text: str) -> str:
        """Return text, question and cue; the answer follows after a space."""
        no, yes = self.answers
        question = f"{self.question}\n" if self.question else ""
        return f"{text}\n{question}Answer ({yes} or {no}):"

    def examples(self, rows: Rows) -> str:
        """Return the text before a prompt: other rows with their answers."""
        return "".join(
            f"{self.prompt(text)} {self.answers[label]}\n\n"
            for text, label in zip(rows.texts, rows.labels.tolist(), strict=True)
        )


@dataclass(frozen=True)
class _Prompt:
    input_ids: np.ndarray  # int32, without the answer
    answer_tokens: tuple[int, int]  # first differing token of each answer, label 0 first


def check_texts(rows: Rows) -> None:
    """Refuse conversations, whose text would be part of the prompt as JSON."""
    if rows.chats:
        raise InputError(
            "a zero-shot prompt with conversations",
            where=rows.name,
            allowed="texts",
            advice="Write the question and what it is about into a column text.",
        )


def check_answers(tokenizer: PreTrainedTokenizerBase, template: PromptTemplate) -> None:
    """Refuse answers that differ only after their first token (a shared space token aside)."""
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} does not say where in a text its tokens lie")
    cue = template.prompt("")
    no, yes = template.answers
    one, two = (
        tokenizer(f"{cue} {answer}", return_offsets_mapping=True, **TOKENIZER_OPTIONS)
        for answer in (no, yes)
    )
    first = _first_difference(one["input_ids"], two["input_ids"])
    # a tokenizer may make the space before an answer a separate token, which both answers share
    latest = len(cue) + len(" ")
    apart = all(
        first < len(tokens["input_ids"]) and tokens["offset_mapping"][first][0] <= latest
        for tokens in (one, two)
    )
    if not apart:
        raise InputError(
            f"answers {no!r} and {yes!r} start with the same token",
            advice="Choose words that this model's tokenizer tells apart by their first token.",
        )


def _first_difference(one: Sequence[int], two: Sequence[int]) -> int:
    """Index of the first different token; the shorter length if one row begins with the other."""
    pairs = zip(one, two, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(two)))


@dataclass(frozen=True)
class _PromptTokenizer:
    """Turns texts into prompts, and these into tokens."""

    tokenizer: PreTrainedTokenizerBase
    template: PromptTemplate
    examples: str  # text that all prompts begin with

    def tokens(self, texts: Sequence[str]) -> list[_Prompt]:
        # Each prompt is tokenized with either answer, and cut before the first token that differs.
        # So a prompt has the tokens of a text that continues, without those that close a text.
        no, yes = (
            self.tokenizer(
                [f"{self.examples}{self.template.prompt(text)} {answer}" for text in texts],
                **TOKENIZER_OPTIONS,
            )["input_ids"]
            for answer in self.template.answers
        )
        prompts = []
        for row_no, row_yes in zip(no, yes, strict=True):
            end = _first_difference(row_no, row_yes)
            tokens = np.array(row_no[:end], dtype=np.int32)
            prompts.append(_Prompt(tokens, (row_no[end], row_yes[end])))
        return prompts

    def cut(self, text: str, limit: int) -> _Prompt | None:
        """Prompt of a text cut to `limit` tokens in all; None if no text would be left."""
        read = self.tokenizer(
            text, return_offsets_mapping=True, add_special_tokens=False, **TOKENIZER_OPTIONS
        )
        ends = [end for _, end in read["offset_mapping"]]
        (prompt,) = self.tokens([text])
        n_kept = len(ends)
        # a cut text may have other tokens at its end, so that one cut is not always enough
        while (excess := len(prompt.input_ids) - limit) > 0:
            n_kept -= excess
            if n_kept <= 0:
                return None
            (prompt,) = self.tokens([text[: max(ends[:n_kept])]])
        return prompt


def _prompts_in_context(
    tokenizer: _PromptTokenizer, rows: Rows, info: ModelInfo, *, truncate: bool
) -> tuple[list[_Prompt], int]:
    """Prompts that fit into the model's context, and the number of texts that were cut."""
    prompts = tokenizer.tokens(rows.texts)
    limit = info.max_tokens or max((len(prompt.input_ids) for prompt in prompts), default=0)
    long = [row for row, prompt in enumerate(prompts) if len(prompt.input_ids) > limit]
    if long and not truncate:
        raise InputError(
            "prompt longer than the model's context: "
            f"{len(prompts[long[0]].input_ids)} tokens, "
            f"id {str(rows.ids[long[0]])!r} (and {len(long) - 1} more)",
            allowed=f"up to {limit} tokens",
            advice="Use fewer examples (--shots), or pass --truncate to cut the texts.",
        )
    for row in long:
        cut = tokenizer.cut(rows.texts[row], limit)
        if cut is None:
            raise InputError(
                f"no room for the text of id {str(rows.ids[row])!r} beside examples and question",
                allowed=f"up to {limit} tokens in all",
                advice="Use fewer or shorter examples (--shots).",
            )
        prompts[row] = cut
    input_ids = [prompt.input_ids for prompt in prompts]
    check_vocabulary(tokenizer.tokenizer, rows.ids, input_ids, info.vocab_size)
    n_doubled = count_doubled_bos(tokenizer.tokenizer, input_ids)
    warn_of_doubled_bos(n_doubled, len(rows), info.name)
    return prompts, len(long)


def _load(info: ModelInfo, head_rows: np.ndarray, device: torch.device) -> PreTrainedModel:
    """Load a causal model in its checkpoint's precision, with a head for a few tokens only."""
    network: Any = load_causal(info, computing_type(info), device)
    # What a model does to its logits (scaling, soft caps) acts on each token's logit alone.
    head = _head_of_tokens(network.get_output_embeddings(), head_rows)
    network.set_output_embeddings(head.to(network.device))
    return cast("PreTrainedModel", network)


@torch.inference_mode()
def _check_causal(network: PreTrainedModel, tokens: np.ndarray, info: ModelInfo) -> None:
    """Refuse a model whose logits at a token depend on later tokens.

    Raises
    ------
    InputError
        Encoders and permutation models, whatever class their checkpoint was saved with.
    """
    if len(tokens) < 2:
        return
    rows = torch.as_tensor(np.stack([tokens, tokens]), dtype=torch.int64, device=network.device)
    rows[1, -1] = rows[1, 0] if rows[1, -1] != rows[1, 0] else rows[1, -2]
    with running(network):
        logits = network(input_ids=rows, use_cache=False).logits[:, :-1].double()
    moved = float((logits[0] - logits[1]).abs().max() / logits.abs().max())
    if not moved <= CAUSAL_TOLERANCE[info.dtype]:
        raise InputError(
            f"{type(network).__name__} of {info.name!r} does not continue a text: its logits at "
            f"a token move with a later one, by {moved:.2g}, relatively",
            allowed="causal language models, such as smollm2-135m",
        )


def _head_of_tokens(head: torch.nn.Linear, rows: np.ndarray) -> torch.nn.Linear:
    """Head of a few tokens, in float32: bfloat16 logits tie, and ties cost AUC."""
    few = torch.nn.Linear(head.in_features, len(rows), bias=head.bias is not None)
    with torch.no_grad():
        few.weight.copy_(head.weight[rows])
        if head.bias is not None:
            few.bias.copy_(head.bias[rows])
    few.register_forward_pre_hook(lambda _, inputs: tuple(tensor.float() for tensor in inputs))
    return few


@torch.inference_mode()
def _logits(
    network: PreTrainedModel,
    input_ids: Sequence[np.ndarray],
    *,
    n_tokens: int,
    pad_id: int,
    name: str,
) -> np.ndarray:
    """Logits after the last token of each row, float64, shape (n, n_tokens)."""
    device = network.device
    n_shared = _n_shared(input_ids)
    cache = (
        _shared_cache(network, input_ids[0][:n_shared]) if n_shared >= MIN_SHARED_TOKENS else None
    )
    n_cached = n_shared if cache else 0
    rest = [row[n_cached:] for row in input_ids]
    lengths = np.array([len(row) for row in rest])
    logits = np.empty((len(input_ids), n_tokens), dtype=np.float64)
    with progress_bar(f"asking {name}", len(input_ids)) as advance:
        for rows in _batches(lengths, n_cached):
            batch = pad([rest[row] for row in rows], pad_id)
            past = copy.deepcopy(cache)
            if past is not None:
                past.batch_repeat_interleave(len(rows))
            past_mask = torch.ones(len(rows), n_cached, dtype=torch.int64)
            output = network(
                input_ids=batch["input_ids"].to(device),
                attention_mask=torch.cat([past_mask, batch["attention_mask"]], dim=1).to(device),
                use_cache=past is not None,
                **{_cache_name(network): past},
            )
            last = torch.as_tensor(lengths[rows] - 1, device=device)
            every_row = torch.arange(len(rows), device=device)
            logits[rows] = output.logits[every_row, last].double().cpu().numpy()
            advance(len(rows))
    return logits


def _n_shared(input_ids: Sequence[np.ndarray]) -> int:
    """Number of first tokens that all rows share; each row has at least one more."""
    n_shared = min((len(row) for row in input_ids), default=1) - 1
    for row in input_ids:
        differ = np.flatnonzero(row[:n_shared] != input_ids[0][:n_shared])
        n_shared = int(differ[0]) if differ.size else n_shared
    return n_shared


def _shared_cache(network: PreTrainedModel, tokens: np.ndarray) -> DynamicCache | None:
    """Compute keys and values of the common start; None if a model caches something else."""
    batch = torch.as_tensor(tokens, dtype=torch.int64, device=network.device)[None]
    cache = getattr(network(input_ids=batch, use_cache=True), _cache_name(network), None)
    # state-space and hybrid models keep layers that cannot be repeated for the rows of a batch
    plain = type(cache) is DynamicCache and all(
        type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers
    )
    return cache if plain else None


def _cache_name(network: PreTrainedModel) -> str:
    """Name of the argument for keys and values: transformers 5.24 renamed it."""
    renamed = "cache" in inspect.signature(network.forward).parameters
    return "cache" if renamed else "past_key_values"


def _batches(lengths: np.ndarray, n_shared: int) -> list[np.ndarray]:
    """Batches of rows; each row needs a copy of the common start, which bounds their number."""
    most = max(1, CACHED_TOKENS // max(n_shared, 1))
    return [
        rows[first : first + most]
        for rows in length_sorted_batches(lengths, BATCH_TOKENS)
        for first in range(0, len(rows), most)
    ]
