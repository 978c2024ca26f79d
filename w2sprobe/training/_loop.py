"""transformers' Trainer, with steps that are exact and can be taken up again."""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback, Trainer, TrainingArguments

from w2sprobe.errors import W2SProbeError, first_few
from w2sprobe.tokens import length_sorted_batches, pad
from w2sprobe.training import checkpoints
from w2sprobe.training.losses import Loss
from w2sprobe.training.predict import Feeding, from_tokens

# The weight of an auxiliary loss grows over 100 steps as published, at most over a fifth of the
# run: Burns et al., arXiv 2312.09390, warm it up over the first 20 % of training.
RAMP_STEPS, RAMP_SHARE = 100, 0.2

Example = dict[str, Any]  # id: str, position: int, input_ids: ndarray of int, soft_label: float


class BatchTrainer(Trainer):
    """One optimiser step is one batch, cut into micro-batches that add up to its gradient.

    Parameters
    ----------
    classifier : Module
    arguments : TrainingArguments
    examples : list of Example
    loss : Loss
    pad_id : int
        Token that fills rows on the right.
    micro_batch_tokens : int
        Tokens in memory at once, at first: halved whenever they do not fit.
    validate : callable
        Validation predictions and their AUC; it must not touch the loss.
    feeding : Feeding
        `Prefix.feeding` where a prefix is attached.
    """

    def __init__(
        self,
        classifier: torch.nn.Module,
        arguments: TrainingArguments,
        examples: list[Example],
        *,
        loss: Loss,
        pad_id: int,
        micro_batch_tokens: int,
        validate: Callable[[torch.nn.Module], tuple[np.ndarray, float]],
        feeding: Feeding = from_tokens,
    ) -> None:
        self._loss, self._pad_id, self._feeding = loss, pad_id, feeding
        self.micro_batch_tokens = micro_batch_tokens
        self._validate = lambda: validate(classifier)
        self._val_scores = np.empty(0)
        super().__init__(
            model=classifier,
            args=arguments,
            train_dataset=examples,
            eval_dataset=[],
            data_collator=lambda batch: {"examples": batch},
        )
        self.remove_callback(PrinterCallback)  # stdout belongs to results

    def run(self, folder: Path) -> None:
        """Train to the end, from the newest whole checkpoint in `folder` if there is one."""
        newest = checkpoints.newest(folder)
        if newest is not None:
            state = checkpoints.state_of(newest)
            self.micro_batch_tokens = state["micro_batch_tokens"]
            if hasattr(self._loss, "load_state_dict"):
                self._loss.load_state_dict(state["loss"])
        self.train(resume_from_checkpoint=None if newest is None else str(newest))

    def training_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,  # noqa: ARG002 - counts tokens
    ) -> torch.Tensor:
        """Add up the gradient of the batch's mean loss, one micro-batch at a time.

        Raises
        ------
        W2SProbeError
            The loss is not finite.
        OutOfMemoryError
            Not even a single row fits, on a GPU.
        MemoryError
            The same, on a CPU.
        """
        model.train()
        memory = deepcopy(self._loss)
        while True:
            try:
                total = self._accumulate(model, inputs["examples"])
                break
            except (torch.OutOfMemoryError, MemoryError):
                longest = max(len(example["input_ids"]) for example in inputs["examples"])
                if self.micro_batch_tokens <= longest:
                    raise  # a micro-batch is one row already
                self.micro_batch_tokens //= 2
                # what was added up before memory ran out would count twice
                model.zero_grad()
                self._loss = deepcopy(memory)
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
        if not torch.isfinite(total):
            raise W2SProbeError(
                f"loss is {total.item()} at step {self.state.global_step + 1}, learning rate "
                f"{self._get_learning_rate():.2e}, rows "
                f"{first_few(example['id'] for example in inputs['examples'])}",
                advice="Lower --learning-rate.",
            )
        return total

    def _accumulate(self, model: torch.nn.Module, examples: Sequence[Example]) -> torch.Tensor:
        ramp_steps = min(RAMP_STEPS, int(np.ceil(RAMP_SHARE * self.state.max_steps)))
        ramp = min(1.0, self.state.global_step / ramp_steps)
        total = torch.zeros((), device=self.args.device)
        for batch in micro_batches(examples, self._pad_id, self.micro_batch_tokens):
            tensors = {name: tensor.to(self.args.device) for name, tensor in batch.items()}
            soft = tensors.pop("soft_label")
            rows = tensors.pop("position").cpu().numpy()
            with self.compute_loss_context_manager(), self._feeding(rows):
                logits = model(**tensors).logits
            part = self._loss(logits, soft, ramp) * (len(soft) / len(examples))
            self.accelerator.backward(part)
            total += part.detach()
        return total

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Validation AUC against the given labels."""
        self._val_scores, auc = self._validate()  # type: ignore[no-untyped-call]
        metrics = {"eval_auc": auc}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save_checkpoint(self, *arguments: Any, **options: Any) -> None:
        super()._save_checkpoint(*arguments, **options)
        memory = self._loss.state_dict() if hasattr(self._loss, "state_dict") else {}
        checkpoints.seal(
            Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}",
            {
                "loss": memory,
                "micro_batch_tokens": self.micro_batch_tokens,
                "val_scores": self._val_scores.tolist(),
            },
        )


def micro_batches(
    examples: Sequence[Example], pad_id: int, max_tokens: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Cut a batch into padded parts of similar length, the longest rows first."""
    lengths = np.array([len(example["input_ids"]) for example in examples])
    for rows in length_sorted_batches(lengths, max_tokens):
        yield {
            **pad([examples[row]["input_ids"] for row in rows], pad_id),
            "soft_label": torch.tensor([examples[row]["soft_label"] for row in rows]).float(),
            "position": torch.tensor([examples[row]["position"] for row in rows]),
        }
