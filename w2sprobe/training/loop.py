"""transformers' Trainer with exact optimiser steps and exact resumption."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate.utils import gather_object
from accelerate.utils.memory import should_reduce_batch_size
from peft import PeftModel
from safetensors import SafetensorError
from torch.utils.data import DataLoader, Dataset
from transformers import (
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from w2sprobe.errors import OutputError, W2SProbeError, first_few
from w2sprobe.models import tokens_per_pass
from w2sprobe.training import checkpoints
from w2sprobe.training.batches import EpochBatches, Example, micro_batches
from w2sprobe.training.losses import Loss, ramp_at
from w2sprobe.training.predict import PrefixContext, no_prefix
from w2sprobe.training.settings import TrainSettings
from w2sprobe.training.stopping import ValidationScores, selection_score

# metric name; transformers keeps the checkpoint with the largest value
SELECTION_SCORE = "selection_score"


class BatchTrainer(Trainer):
    """One optimiser step is one batch, cut into micro-batches that add up to its gradient.

    With several processes (torchrun, accelerate launch) each computes its share of every batch, so
    that the steps are those of a single process.

    Parameters
    ----------
    settings : TrainSettings
        Read: `batch_size`, `seed`, `early_stopping`, and `micro_batch_tokens`, which a single
        process halves whenever memory runs out.
    pad_id : int
        Token that fills rows on the right.
    validate : callable
        Returns validation predictions and their scores; it must not call the loss.
    feeding : PrefixContext
        `Prefix.feeding` if a prefix is attached.
    """

    def __init__(
        self,
        classifier: PreTrainedModel | PeftModel,
        arguments: TrainingArguments,
        examples: list[Example],
        settings: TrainSettings,
        *,
        loss: Loss,
        pad_id: int,
        validate: Callable[[torch.nn.Module], tuple[np.ndarray, ValidationScores]],
        feeding: PrefixContext = no_prefix,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self._classifier, self._settings = classifier, settings
        self._loss, self._pad_id = loss, pad_id
        self._validate, self._feeding = validate, feeding
        self.micro_batch_tokens = settings.micro_batch_tokens or tokens_per_pass(
            classifier, arguments.device, training=True
        )
        self._val_predictions = np.empty(0)
        super().__init__(
            model=classifier,
            args=arguments,
            train_dataset=examples,
            eval_dataset=[],
            data_collator=lambda batch: {"examples": batch},
            callbacks=list(callbacks),
        )
        self.remove_callback(PrinterCallback)  # stdout belongs to results

    def run(self, folder: Path) -> None:
        """Train to the end, from the newest complete checkpoint in `folder` if there is one."""
        with self.args.main_process_first(local=False):
            newest = checkpoints.newest(folder)
        if newest is not None:
            state = checkpoints.state_of(newest)
            self.micro_batch_tokens = state["micro_batch_tokens"]
            if hasattr(self._loss, "load_state_dict"):
                self._loss.load_state_dict(state["losses"][self.args.process_index])
        self.train(resume_from_checkpoint=None if newest is None else str(newest))
        self.accelerator.wait_for_everyone()

    def save(self, folder: Path) -> None:
        """Write the trained weights in the layout of peft, or of transformers."""
        weights = self.accelerator.get_state_dict(self.model_wrapped) if self._sharded else None
        if self.args.should_save:
            self._classifier.save_pretrained(str(folder), state_dict=weights)
        self.accelerator.wait_for_everyone()

    def release(self) -> None:
        """Free gradients and optimiser state; the model stays."""
        self._classifier.zero_grad()
        self.optimizer = self.callback_handler.optimizer = None
        self.lr_scheduler = self.callback_handler.lr_scheduler = None  # holds the optimiser, too
        self.accelerator.free_memory()

    def get_train_dataloader(self) -> DataLoader[Example]:
        """Return whole batches, the same in every process; `training_step` takes its share."""
        examples = cast("list[Example]", self.train_dataset)
        batches = EpochBatches(
            len(examples),
            self._settings.batch_size,
            seed=self._settings.seed,
            step=lambda: self.state.global_step,
        )
        # torch needs only the length and the rows of a list, but its annotation asks for a Dataset
        dataset = cast("Dataset[Example]", examples)
        return DataLoader(dataset, batch_sampler=batches, collate_fn=self.data_collator)

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
        RuntimeError
            Memory is too small for the longest row; or memory ran out in one of several processes,
            which would fall out of step if one halved its micro-batches.
        """
        model.train()
        loss_before = deepcopy(self._loss)
        while True:
            try:
                total = self._accumulate(model, inputs["examples"])
                break
            except RuntimeError as error:
                longest = max(len(example["input_ids"]) for example in inputs["examples"])
                can_halve = self.micro_batch_tokens > longest and self.args.world_size == 1
                if not (can_halve and _out_of_memory(error)):
                    raise
                self.micro_batch_tokens //= 2
                # start the batch again: its first gradients and losses would count twice
                model.zero_grad()
                self._loss = deepcopy(loss_before)
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
        ramp = ramp_at(self.state.global_step, self.state.max_steps)
        rank, world = self.args.process_index, self.args.world_size
        total = torch.zeros((), device=self.args.device)
        parts = micro_batches(
            examples, self._pad_id, self.micro_batch_tokens, rank=rank, world=world
        )
        for number, (batch, counts) in enumerate(parts, start=1):
            tensors = {name: tensor.to(self.args.device) for name, tensor in batch.items()}
            soft = tensors.pop("soft_label")
            rows = tensors.pop("position").cpu().numpy()
            with self._synchronising(model, last=number == len(parts)), self._feeding(rows):
                logits = model(**tensors).logits
                # Means of the parts, weighted by their rows, add up to the mean of the batch.
                # Processes average their gradients, hence the factor `world`.
                weight = world * len(soft) / len(examples)
                loss = self._loss(logits, soft, ramp) * weight if counts else 0.0 * logits.sum()
                # inside `feeding`, because gradient checkpointing computes blocks again
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    @contextmanager
    def _synchronising(self, model: torch.nn.Module, *, last: bool) -> Iterator[None]:
        """Let processes exchange gradients only with the last micro-batch of a batch."""
        self.accelerator.gradient_state._set_sync_gradients(last)  # read by DeepSpeed
        context: AbstractContextManager[Any] = nullcontext()
        if not last and not self.is_deepspeed_enabled:
            context = self.accelerator.no_sync(model)
        with context:
            yield

    @property
    def _sharded(self) -> bool:
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score the validation predictions, and rank this checkpoint for early stopping."""
        network = self.model_wrapped if self._sharded else self._classifier
        self._val_predictions, scores = self._validate(network)
        metrics = {f"eval_{name}": score for name, score in scores.items() if score is not None}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        rank = selection_score(self._settings.early_stopping, scores, self.state.global_step)
        return {**metrics, f"eval_{SELECTION_SCORE}": rank}

    def _save_checkpoint(self, *arguments: Any, **options: Any) -> None:
        folder = Path(str(self.args.output_dir))
        try:
            super()._save_checkpoint(*arguments, **options)
            state = self._loss.state_dict() if hasattr(self._loss, "state_dict") else {}
            # gathering also waits until every process has written its files
            loss_states = gather_object([state])
            if self.args.should_save:
                self._mark_complete(folder / f"checkpoint-{self.state.global_step}", loss_states)
        except (OSError, SafetensorError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "PytorchStreamWriter" not in str(error):
                raise  # not a full disk: that error of torch.save names its writer
            raise OutputError(
                f"checkpoint of step {self.state.global_step} cannot be written: {error}",
                where=str(folder),
                advice="Make room and start again: the last complete checkpoint is kept.",
            ) from error

    def _mark_complete(self, checkpoint: Path, loss_states: list[dict[str, Any]]) -> None:
        checkpoints.mark_complete(
            checkpoint,
            {
                "losses": loss_states,
                "micro_batch_tokens": self.micro_batch_tokens,
                "val_scores": self._val_predictions.tolist(),
            },
        )
        best = f"checkpoint-{self.state.best_global_step}"
        checkpoints.prune(checkpoint.parent, {checkpoint.name, best})


def _out_of_memory(error: RuntimeError) -> bool:
    # accelerate knows the messages of the CUDA, cuDNN and CPU allocators
    return isinstance(error, torch.OutOfMemoryError) or should_reduce_batch_size(error)
