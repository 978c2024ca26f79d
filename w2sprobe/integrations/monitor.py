"""A saved probe with its model: P(label = 1) of single texts and conversations."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from w2sprobe.cache import origin_of
from w2sprobe.devices import resolve_device
from w2sprobe.errors import InputError
from w2sprobe.extraction import ExtractionRequest
from w2sprobe.extraction.forward import Extractor
from w2sprobe.extraction.selftest import self_test
from w2sprobe.probes import load_card, load_origin, load_probe
from w2sprobe.probes.token_rows import TokenRows
from w2sprobe.probing.saved import predict_rows

Messages = Sequence[Mapping[str, str]]


class Monitor:
    """Scores texts or conversations by a saved probe; the model is loaded at the first one.

    Parameters
    ----------
    folder : str or Path
        Folder of a probe that was saved with a card.
    model : str or Path, optional
        Where the model is now; by default the name in the probe's origin.
    device : str, default "auto"

    Attributes
    ----------
    reads_conversations : bool
        Whether the probe was fitted on conversations, not on texts.
    threshold : float, optional
        A text is flagged if its P(label = 1) is larger; None if the card has none.

    Raises
    ------
    InputError
        No probe with card and origin; no such model or device.
    """

    def __init__(
        self, folder: str | Path, *, model: str | Path | None = None, device: str = "auto"
    ) -> None:
        self._folder, self._device = Path(folder), resolve_device(device)
        card, _ = load_card(folder)
        origin = load_origin(folder)
        if origin is None:
            raise InputError("the probe was saved without its origin", where=str(folder))
        self._origin, self._probe = origin, load_probe(folder)
        self._model = str(model or origin["name"])
        self._computed_in = card.states.get("computed_in", "auto")
        self._extractor: Extractor | None = None
        self.layer = int(origin["layer"])
        self.reads_conversations = "chat_template" in origin
        chosen = card.evaluation.threshold
        self.threshold = None if chosen is None else chosen.p

    def p(self, content: str | Messages) -> float:
        """P(label = 1) of a text, or of the messages of a conversation.

        Raises
        ------
        InputError
            A text for a probe of conversations, or the reverse; a text that is empty or too long;
            the model is not the one that the probe was fitted on.
        """
        if isinstance(content, str) == self.reads_conversations:
            kind = "conversations" if self.reads_conversations else "texts"
            raise InputError(
                f"the content is a {type(content).__name__}",
                allowed=f"{kind}, on which the probe was fitted",
            )
        column = "text" if isinstance(content, str) else "messages"
        request = ExtractionRequest(
            self._model,
            [{"id": "0", column: content}],
            [self.layer],
            position=self._origin["position"],
            dtype=self._computed_in,
            store_dtype="float32",  # wide enough for every type in which a model computes
        )
        # by content: the model may be in another folder now
        asked = origin_of(request.identity, self._origin["name"], self.layer)
        load_probe(self._folder, origin=asked)
        rows = request.tokenize()
        if self._extractor is None:
            self._extractor = self._load(request, rows.input_ids, rows.kept)
        states = self._extractor.states(rows.input_ids, rows.kept, [self.layer])[self.layer]
        points = (
            TokenRows(states, np.array([0, len(states)])) if request.position.ragged else states
        )
        return float(predict_rows(self._probe, points)[0])

    def _load(
        self, request: ExtractionRequest, input_ids: list[np.ndarray], kept: list[np.ndarray]
    ) -> Extractor:
        """Load the model, and test it as an extraction does."""
        network = request.load_model(self._device, None)
        average = request.position.averaged
        report = self_test(network, input_ids, kept, [self.layer], average=average)
        return request.extractor(network, None, whole_pass=report["whole_pass"])
