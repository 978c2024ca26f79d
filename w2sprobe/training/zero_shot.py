"""What a language model says without finetuning: zero-shot and few-shot predictions.

The model reads a row's text and a cue, and is asked which of two answers it would go on with. Only
its language-model head is used, of which two rows are kept.
"""

import copy
import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from w2sprobe.data import Rows
from w2sprobe.data.coin import Coin
from w2sprobe.devices import resolve_device
from w2sprobe.errors import IdMismatch, InputError, first_few
from w2sprobe.labels import LabelTable
from w2sprobe.models import (
    DTYPES,
    ModelInfo,
    check_loaded,
    computing_type,
    describe_model,
    load_tokenizer,
    read_config,
    reading,
    running,
    text_model,
)
from w2sprobe.progress import progress_bar
from w2sprobe.tokens import (
    AS_IT_IS,
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
LEAST_SHARED = 16  # tokens that all prompts begin with: from here on they are read once only
CACHED_TOKENS = 16_384  # a batch, copies of what is shared included; 128 KiB each in an 8B model


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
        Examples, with their labels, that stand before every row, in this order; `choose_shots`
        takes balanced ones. None: zero-shot.
    answers : tuple of str, default ("No", "Yes")
        Words for label 0 and label 1, without a leading blank.
    question : str, default ""
        Line between a row's text and the cue, for texts that do not ask anything themselves: "Is
        this review positive?".
    device : str, default "auto"
    truncate : bool, default False
        Cut texts whose prompt exceeds the model's context, with a warning that counts them.
        Examples, question and cue stay whole.

    Returns
    -------
    LabelTable
        P(label = 1) = exp(z1) / (exp(z0) + exp(z1)), with z the logits of the first token of each
        answer; float64, in the order of `rows`.

    Raises
    ------
    InputError
        No such model or device; no language-model head; answers that the tokenizer does not tell
        apart by their first token; a prompt longer than the context.
    IdMismatch
        A row is one of its own examples.

    Notes
    -----
    A prompt is `text`, the question if there is one, and the cue `Answer (Yes or No):`, each on a
    line of its own; an example is a prompt with its answer and a blank line after it. Source of
    prompts with examples: Brown et al., "Language Models are Few-Shot Learners", arXiv 2005.14165.
    The pull of a model towards one answer moves all log-odds alike, mostly: contextual calibration
    (Zhao et al., arXiv 2102.09690) would take it out, and change no AUC.
    """
    info = describe_model(model)
    place = resolve_device(device)
    check_head(info)
    tokenizer = load_tokenizer(info.source)
    form = Form(answers, question)
    check_answers(tokenizer, form)
    examples = ""
    if shots is not None:
        own = sorted(set(shots.ids.tolist()) & set(rows.ids.tolist()))
        if own:
            raise IdMismatch(
                f"rows {first_few(own)} are among the examples, which show their labels",
                advice="Leave them out of the rows.",
            )
        examples = form.examples(shots)
    prompts = _fit(tokenizer, form, examples, rows, info, truncate=truncate)
    head_rows, columns = np.unique(prompts.answer_tokens, return_inverse=True)
    network = _load(info, head_rows, place)
    _check_causal(network, max(prompts.input_ids, key=len), info)
    logits = _logits(
        network,
        prompts.input_ids,
        n_tokens=len(head_rows),
        pad_id=info.pad_id,
        name=info.name,
    )
    of_answers = np.take_along_axis(logits, columns.reshape(len(rows), 2), axis=1)
    if prompts.n_truncated:
        warnings.warn(
            f"{prompts.n_truncated} of {len(rows)} texts were cut so that their prompts fit into "
            f"{info.max_tokens} tokens, the context of {info.name}",
            stacklevel=2,
        )
    return LabelTable(rows.ids, expit(of_answers[:, 1] - of_answers[:, 0]))


def choose_shots(rows: Rows, n_shots: int) -> Rows:
    """Take examples for `zero_shot`: as many of each label, in the order of their ids' hashes.

    Parameters
    ----------
    rows : Rows
        To take from; their order has no influence.
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
class Form:
    """How a row becomes a prompt.

    Parameters
    ----------
    answers : tuple of str
        For label 0 and label 1.
    question : str
        Empty: none.
    """

    answers: tuple[str, str]
    question: str

    def prompt(self, text: str) -> str:
        """Text, question and cue; the answer comes next, after a blank."""
        no, yes = self.answers
        question = f"{self.question}\n" if self.question else ""
        return f"{text}\n{question}Answer ({yes} or {no}):"

    def examples(self, rows: Rows) -> str:
        """What stands before a prompt: other rows with their answers."""
        return "".join(
            f"{self.prompt(text)} {self.answers[label]}\n\n"
            for text, label in zip(rows.texts, rows.labels.tolist(), strict=True)
        )


@dataclass(frozen=True)
class _Prompts:
    input_ids: list[np.ndarray]  # int32, without the answer
    answer_tokens: np.ndarray  # int64, shape (n, 2): where the two answers part
    n_truncated: int


def check_head(info: ModelInfo) -> None:
    """Refuse a model whose checkpoint has no causal language-model head."""
    # transformers would load an encoder as a causal model too, with a head of random weights
    config = read_config(info.source)
    found = list(config.architectures or [])
    wanted = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config.model_type)
    if wanted not in found:
        raise InputError(
            f"model {info.name!r} has no language-model head that goes on with a text: its "
            f"checkpoint is a {' and '.join(found) or 'model of unknown kind'}",
            allowed="causal language models, such as smollm2-135m",
        )


def check_answers(tokenizer: PreTrainedTokenizerBase, form: Form) -> None:
    """Refuse answers that do not part at their first token."""
    if not tokenizer.is_fast:
        raise InputError(f"{type(tokenizer).__name__} does not say where in a text its tokens lie")
    cue = form.prompt("")
    one, two = (
        tokenizer(f"{cue} {answer}", return_offsets_mapping=True, **AS_IT_IS)
        for answer in form.answers
    )
    part = _first_difference(one["input_ids"], two["input_ids"])
    # a tokenizer may make the blank before an answer a token of its own: that one may be shared
    latest = len(cue) + len(" ")
    apart = all(
        part < len(tokens["input_ids"]) and tokens["offset_mapping"][part][0] <= latest
        for tokens in (one, two)
    )
    if not apart:
        raise InputError(
            f"answers {form.answers[0]!r} and {form.answers[1]!r} start with the same token",
            advice="Choose words that this model's tokenizer tells apart by their first token.",
        )


def _first_difference(one: Sequence[int], two: Sequence[int]) -> int:
    """Where two rows of tokens part; the length of the shorter if it is how the longer begins."""
    pairs = zip(one, two, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(two)))


def _fit(
    tokenizer: PreTrainedTokenizerBase,
    form: Form,
    examples: str,
    rows: Rows,
    info: ModelInfo,
    *,
    truncate: bool,
) -> _Prompts:
    """Prompts as tokens, none longer than the context."""

    def tokens(texts: Sequence[str]) -> list[tuple[np.ndarray, tuple[int, int]]]:
        # Read with either answer and cut where the two part: then the tokens before the answer are
        # those that a text with this answer has, and nothing that a tokenizer adds at the end is
        # in the way.
        both = [
            tokenizer([f"{examples}{form.prompt(text)} {answer}" for text in texts], **AS_IT_IS)[
                "input_ids"
            ]
            for answer in form.answers
        ]
        found = []
        for one, two in zip(*both, strict=True):
            part = _first_difference(one, two)
            found.append((np.array(one[:part], dtype=np.int32), (one[part], two[part])))
        return found

    prompts = tokens(rows.texts)
    limit = info.max_tokens or max((len(row) for row, _ in prompts), default=0)
    long = [row for row, (prompt, _) in enumerate(prompts) if len(prompt) > limit]
    if long and not truncate:
        raise InputError(
            f"prompt longer than the model's context: {len(prompts[long[0]][0])} tokens, "
            f"id {str(rows.ids[long[0]])!r} (and {len(long) - 1} more)",
            allowed=f"up to {limit} tokens",
            advice="Use fewer examples (--shots), or pass --truncate to cut the texts.",
        )
    for row in long:
        text = rows.texts[row]
        read = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False, **AS_IT_IS)
        ends = [end for _, end in read["offset_mapping"]]
        n_kept = len(ends)
        while (excess := len(prompts[row][0]) - limit) > 0:
            n_kept -= excess
            if n_kept <= 0:
                raise InputError(
                    f"no room for the text of id {str(rows.ids[row])!r} beside examples and "
                    "question",
                    allowed=f"up to {limit} tokens in all",
                    advice="Use fewer or shorter examples (--shots).",
                )
            (prompts[row],) = tokens([text[: max(ends[:n_kept])]])
    read_by_model = [prompt for prompt, _ in prompts]
    check_vocabulary(tokenizer, rows.ids, read_by_model, info.vocab_size)
    warn_of_doubled_bos(count_doubled_bos(tokenizer, read_by_model), len(rows), info.name)
    answer_tokens = np.array([pair for _, pair in prompts], dtype=np.int64).reshape(-1, 2)
    return _Prompts(read_by_model, answer_tokens, len(long))


def _load(info: ModelInfo, head_rows: np.ndarray, device: torch.device) -> PreTrainedModel:
    """Causal model, as precise as its checkpoint, whose logits are those of a few tokens only."""
    with reading(info.name):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            info.source,
            config=read_config(info.source),
            dtype=DTYPES[computing_type(info)],
            device_map={"": device} if info.quantization else None,
            ignore_mismatched_sizes=True,  # they are named below
            output_loading_info=True,
            trust_remote_code=False,
        )
    network, loading = loaded
    check_loaded(info.name, network, text_model(network.base_model), loading)
    head = network.get_output_embeddings()
    own = {id(tensor) for tensor in head.parameters()} if head is not None else set()
    lacking = {*loading["missing_keys"], *(key[0] for key in loading["mismatched_keys"])}
    missing = sorted(
        name
        for name, tensor in network.named_parameters(remove_duplicate=False)
        if id(tensor) in own and name in lacking
    )
    if missing or not isinstance(head, torch.nn.Linear):
        raise InputError(
            f"no language-model head in the checkpoint of {info.name!r}: it lacks "
            f"{first_few(missing) or 'a linear one'}"
        )
    # Whatever the model does to its logits (scaling, soft caps) is done to each token's alone.
    network.set_output_embeddings(_some_rows(head, head_rows))
    if not info.quantization:
        torch.nn.Module.to(network, device)
    network.train(mode=False)
    causal: PreTrainedModel = network
    return causal


@torch.inference_mode()
def _check_causal(network: PreTrainedModel, tokens: np.ndarray, info: ModelInfo) -> None:
    """Refuse a model whose logits at a token depend on later ones: it does not go on with a text.

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
            f"{type(network).__name__} of {info.name!r} does not go on with a text: its logits at "
            f"a token move with a later one, by {moved:.2g}, relatively",
            allowed="causal language models, such as smollm2-135m",
        )


def _some_rows(head: torch.nn.Linear, rows: np.ndarray) -> torch.nn.Linear:
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
    seen = _read_once(network, input_ids[0][:n_shared]) if n_shared >= LEAST_SHARED else None
    start = n_shared if seen else 0
    rest = [row[start:] for row in input_ids]
    lengths = np.array([len(row) for row in rest])
    found = np.empty((len(input_ids), n_tokens), dtype=np.float64)
    with progress_bar(f"asking {name}", len(input_ids)) as advance:
        for rows in _batches(lengths, start):
            batch = pad([rest[row] for row in rows], pad_id)
            past = copy.deepcopy(seen)
            if past is not None:
                past.batch_repeat_interleave(len(rows))
            read = torch.ones(len(rows), start, dtype=torch.int64)
            output = network(
                input_ids=batch["input_ids"].to(device),
                attention_mask=torch.cat([read, batch["attention_mask"]], dim=1).to(device),
                use_cache=past is not None,
                **{_cache_name(network): past},
            )
            last = torch.as_tensor(lengths[rows] - 1, device=device)
            here = torch.arange(len(rows), device=device)
            found[rows] = output.logits[here, last].double().cpu().numpy()
            advance(len(rows))
    return found


def _n_shared(input_ids: Sequence[np.ndarray]) -> int:
    """Tokens that all rows begin with; each row has at least one more."""
    n_shared = min((len(row) for row in input_ids), default=1) - 1
    for row in input_ids:
        differ = np.flatnonzero(row[:n_shared] != input_ids[0][:n_shared])
        n_shared = int(differ[0]) if differ.size else n_shared
    return n_shared


def _read_once(network: PreTrainedModel, tokens: np.ndarray) -> DynamicCache | None:
    """Keys and values of what all rows begin with; None where a model keeps something else."""
    batch = torch.as_tensor(tokens, dtype=torch.int64, device=network.device)[None]
    seen = getattr(network(input_ids=batch, use_cache=True), _cache_name(network), None)
    # state-space and hybrid models keep layers that cannot be repeated for the rows of a batch
    plain = type(seen) is DynamicCache and all(
        type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in seen.layers
    )
    return seen if plain else None


def _cache_name(network: PreTrainedModel) -> str:
    """What the model calls its keys and values: transformers 5.24 has given them a new name."""
    renamed = "cache" in inspect.signature(network.forward).parameters
    return "cache" if renamed else "past_key_values"


def _batches(lengths: np.ndarray, n_shared: int) -> list[np.ndarray]:
    """Batches of rows, no larger than what a copy a row of the shared start may take."""
    most = max(1, CACHED_TOKENS // max(n_shared, 1))
    return [
        rows[first : first + most]
        for rows in length_sorted_batches(lengths, BATCH_TOKENS)
        for first in range(0, len(rows), most)
    ]
