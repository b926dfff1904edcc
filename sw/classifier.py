"""A Relaxon machine as a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin  # type: ignore[import-untyped]
from sklearn.utils import check_random_state  # type: ignore[import-untyped]
from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
from sklearn.utils.validation import check_is_fitted, validate_data  # type: ignore[import-untyped]

from relaxon.board import Board
from relaxon.coding import (
    Bits,
    Coding,
    Features,
    Projection,
    Signs,
    Thermometer,
    warn_of_constants,
)
from relaxon.config import Config
from relaxon.couplings import Couplings
from relaxon.errors import ConfigError
from relaxon.samples import Codes, Encoder
from relaxon.settings import Settings

LARGE, SMALL = (1, 256), (8, 32)
"""Modules and neurons per module where they are left to the preset: of `paper`, and of all others."""


class RelaxonClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifier that learns by relaxation and local ±1 updates, on any Relaxon board.

    The result does not depend on the board: model, simulation and hardware agree bit for bit.

    Parameters
    ----------
    preset
        Registers of many small gated modules (``"modules"``, ``"tuned"``) or
        of one large one (``"paper"``); or any other `relaxon.Settings`.
    modules, neurons
        M, and H per module; by default 8 × 32, and 1 × 256 for ``"paper"``.
    epochs
        Passes over the training data in `fit`.
    coding
        How features become ±1 bits. ``"bits"``: all of them are 0 or 1, or −1 or +1, already.
        ``"thermometer"``: each is compared with thresholds between the values that it has in the data
        of the first `fit` or `partial_fit`; one of two values is one bit, whatever they are.
        ``"projection"``: signs of `inputs` random projections. ``"auto"``: "bits" if that is what
        they are, else "thermometer".
    levels
        Most thresholds per feature of the thermometer code; by default 2 to 16, for up to 128 bits.
    inputs
        Bits of the projection.
    lanes
        Neurons per clock cycle of the board; of no influence on the result, unless `registers` say
        ``{"sequential": 1}``.
    weight_bits
        Width of J and W.
    registers
        Registers that shall differ from the preset's, by name, such as ``{"sweeps_infer": 3}``.
    board
        Where to run, as in `relaxon.board.Board.open`; opened anew by every method that needs it.
    shuffle
        Whether `fit` shuffles the samples before every epoch.
    random_state
        Seed, generator or None: the initial couplings, the projections and the shuffling.

    Attributes
    ----------
    classes_
        Labels in the order of the columns of `decision_function`.
    couplings_, recurrent_, input_, feedback_, readout_
        Learned couplings (`relaxon.Couplings`), and each of its arrays.
    config_
        The machine (`relaxon.Config`).
    coder_
        Turns features into bits (`relaxon.coding.Coding`).
    n_features_in_
        Number of features.

    Examples
    --------
    >>> from sklearn.datasets import load_iris  # type: ignore[import-untyped]
    >>> X, y = load_iris(return_X_y=True)
    >>> bool(RelaxonClassifier(epochs=20, random_state=0).fit(X, y).score(X, y) > 0.9)
    True
    """

    def __init__(
        self, *, preset: str | Settings = "modules", modules: int | None = None,
        neurons: int | None = None, epochs: int = 10, coding: str = "auto",
        levels: int | None = None, inputs: int = 128, lanes: int = 32, weight_bits: int = 8,
        registers: dict[str, int] | None = None, board: str = "model", shuffle: bool = True,
        random_state: Any = None,
    ):
        self.preset = preset
        self.modules = modules
        self.neurons = neurons
        self.epochs = epochs
        self.coding = coding
        self.levels = levels
        self.inputs = inputs
        self.lanes = lanes
        self.weight_bits = weight_bits
        self.registers = registers
        self.board = board
        self.shuffle = shuffle
        self.random_state = random_state

    # ---- learning ---------------------------------------------------------------------------

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Learn from scratch: `epochs` passes over `X` (n, features) with labels `y` (n,).

        Raises ValueError for data or parameters that make no sense, `LinkError` if the board fails; a
        model that was fitted before is then what it was.
        """
        with self._unchanged_by_failure():
            x, given = validate_data(self, X, y)
            check_classification_targets(given)
            if not isinstance(self.epochs, Integral) or self.epochs < 1:
                raise ConfigError(f"epochs must be a whole number of 1 or more, not {self.epochs!r}")
            rng = check_random_state(self.random_state)
            self._begin(x, np.unique(given), rng)
            bits, codes = self._coded(x, given)
            order = np.arange(len(x))
            orders = (rng.permutation(order) if self.shuffle else order for _ in range(self.epochs))
            self._train((bits[order], codes[order]) for order in orders)
        return self

    def partial_fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, classes: npt.ArrayLike | None = None
    ) -> Self:
        """Learn on: one pass over `X` in the order given.

        The first call needs `classes`, all labels there will be; it also settles the coding, so
        its data should be typical. A call that fails changes nothing.
        """
        with self._unchanged_by_failure():
            first = not hasattr(self, "couplings_")
            x, given = validate_data(self, X, y, reset=first)
            check_classification_targets(given)
            if first:
                if classes is None:
                    raise ValueError("classes must be given at the first call of partial_fit")
                self._begin(x, np.unique(classes), check_random_state(self.random_state))
            elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(
                    f"classes must stay {self.classes_}, as first given, not {classes!r}"
                )
            self._train([self._coded(x, given)])
        return self

    @contextmanager
    def _unchanged_by_failure(self) -> Iterator[None]:
        """If anything goes wrong meanwhile, everything is as it was before."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _begin(self, x: Features, classes: npt.NDArray[Any], rng: Any) -> None:
        """Classes, coder, configuration and fresh couplings."""
        seed, projection_seed = (int(rng.randint(2**31 - 1)) for _ in range(2))
        coder = self._learned_coder(x, projection_seed)
        warn_of_constants(x, getattr(self, "feature_names_in_", None), stacklevel=4)
        sizes = LARGE if self.preset == "paper" else SMALL
        config = Config.preset(
            self.preset,
            modules=sizes[0] if self.modules is None else self.modules,
            neurons=sizes[1] if self.neurons is None else self.neurons,
            inputs=coder.bits, classes=max(2, len(classes)), lanes=self.lanes,
            weight_bits=self.weight_bits, registers=self.registers,
        )
        self.coder_, self.classes_, self.config_ = coder, classes, config
        self._keep(Couplings.fresh(config, seed, self.preset))

    def _learned_coder(self, x: Features, seed: int) -> Coding:
        match self.coding:
            case "auto" if Bits.fits(x):
                return Bits(x.shape[1])
            case "bits":
                return Bits(x.shape[1])
            case "auto" | "thermometer":
                return Thermometer.learn(x, self.levels)
            case "projection":
                return Projection.learn(x, self.inputs, seed)
        raise ConfigError(
            f"coding must be auto, bits, thermometer or projection, not {self.coding!r}"
        )

    def _coded(self, x: Features, given: npt.NDArray[Any]) -> tuple[Signs, Codes]:
        """Samples and labels as the machine takes them."""
        encoder = Encoder(self.coder_, tuple(self.classes_.tolist()))
        return encoder.inputs(x, "X"), encoder.codes_of(given)

    def _train(self, passes: Iterable[tuple[Signs, Codes]]) -> None:
        """Train on the board, pass by pass, and keep the couplings."""
        with Board.open(self.board, self.config_) as board:
            board.load(self.couplings_)
            for bits, codes in passes:
                board.train(bits, codes)
            self._keep(board.couplings())

    def _keep(self, couplings: Couplings) -> None:
        self.couplings_ = couplings
        self.recurrent_, self.input_ = couplings.recurrent, couplings.input
        self.feedback_, self.readout_ = couplings.feedback, couplings.readout

    # ---- prediction -------------------------------------------------------------------------

    def decision_function(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Class scores r, (n, classes); for two classes r[1] − r[0], (n,)."""
        scores = self._scores(X)
        if len(self.classes_) == 2:
            return scores[:, 1] - scores[:, 0]
        return scores

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """The label with the highest score, the first one on a tie; (n,)."""
        scores = self._scores(X)
        labels: npt.NDArray[Any] = self.classes_[np.argmax(scores, axis=1)]
        return labels

    def _scores(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        check_is_fitted(self)
        x = validate_data(self, X, reset=False)
        with Board.open(self.board, self.config_) as board:
            board.load(self.couplings_)
            scores = board.scores(self.coder_.encode(x))
        return scores[:, : len(self.classes_)].astype(np.float64)
