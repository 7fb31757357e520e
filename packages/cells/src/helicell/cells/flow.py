"""`PopulationFlow`: predicts how a population of cells answers a treatment, from the population itself.

`fit` learns from responses, `transport` moves control cells in the model's space, `predict` does so from AnnData to
AnnData, `save` and `load` keep the model in one file. The baselines are settings: `encoder.kind` "none" is flow
matching (FM), "index" is CGFM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from helicell.cells.batches import PopulationBatches
from helicell.cells.calibration import calibrate, fold_steps, folds_of
from helicell.cells.columns import Columns
from helicell.cells.conditions import ConditionBatch, Conditions
from helicell.cells.network import PopulationNetwork, spread_within
from helicell.cells.objective import PopulationObjective
from helicell.cells.references import ReferenceBatch, check_population
from helicell.cells.responses import PopulationKey, Response
from helicell.cells.settings import PopulationFlowSettings
from helicell.cells.ways import Ways
from helicell.core.errors import InputError
from helicell.core.runs.seeds import sample_generator
from helicell.core.training.loop import minimise

if TYPE_CHECKING:
    from anndata import AnnData

    from helicell.cells.populations import Populations
    from helicell.cells.preprocessing import Preprocessing

# Cells that are moved together; a result does not depend on how many there are in all.
CHUNK = 16_384


class PopulationFlow:
    """A trained model of responses; made by `fit` or `load`.

    Parameters
    ----------
    network
        The trained network.
    conditions
        What treatments and cell types it knows.
    preprocessing
        From measured features to the model's space and back, where the model was trained on such.
    columns
        What told the populations apart that it was trained on, where these came from a table.
    trained_on
        Their keys.
    card
        Whatever else is worth knowing: data, licence, metrics.

    References
    ----------
    Atanackovic and others, Meta flow matching, arXiv 2408.14608.
    """

    citations = ("atanackovic2024meta", "lipman2023flow", "tong2024improving")

    def __init__(
        self,
        network: PopulationNetwork,
        conditions: Conditions,
        *,
        preprocessing: Preprocessing | None = None,
        columns: Columns | None = None,
        trained_on: Sequence[PopulationKey] = (),
        card: Mapping[str, Any] | None = None,
    ) -> None:
        self.network = network.eval().requires_grad_(requires_grad=False)
        self.settings = network.settings
        self.conditions, self.preprocessing = conditions, preprocessing
        self.columns, self.trained_on = columns, tuple(trained_on)
        self.card: dict[str, Any] = dict(card or {})

    @classmethod
    def fit(
        cls,
        train: Populations | Sequence[Response],
        settings: PopulationFlowSettings | None = None,
        *,
        preprocessing: Preprocessing | None = None,
        embeddings: Mapping[str, Tensor] | None = None,
        seed: int = 0,
        progress: bool = False,
        report: Callable[[int, float], None] | None = None,
    ) -> Self:
        """Train a model.

        Parameters
        ----------
        train
            Responses in the model's space, or populations of measured cells.
        settings
            Everything but data and seed; the defaults unless given.
        preprocessing
            For populations: fitted on nothing but training populations; fitted on `train` unless given. For responses:
            what they went through, so that `predict` can do the same.
        embeddings
            Vectors of treatments by name, by which the model then knows them, with or without training data.
        seed
            Of weights, order, draws.
        progress
            Show a progress bar.
        report
            Called with the step and its loss.

        Raises
        ------
        InputError
            If populations are missing, of different features, or not finite, or settings do not fit them.
        """
        settings = settings or PopulationFlowSettings()
        model, batches = cls.prepare(train, settings, preprocessing=preprocessing, embeddings=embeddings, seed=seed)
        objective = PopulationObjective(model.network).train().requires_grad_()
        with _bar(settings.optimiser.steps + len(folds_of(model)) * fold_steps(model), progress=progress) as advance:

            def told(step: int, loss: float) -> None:
                advance(1)
                if report is not None:
                    report(step, loss)

            minimise(objective, batches, settings.optimiser, seed=seed, report=told)
            model.network.eval().requires_grad_(requires_grad=False)
            calibrate(model, batches, seed=seed, report=lambda *_: advance(1))
        return model

    @classmethod
    def prepare(
        cls,
        train: Populations | Sequence[Response],
        settings: PopulationFlowSettings,
        *,
        preprocessing: Preprocessing | None = None,
        embeddings: Mapping[str, Tensor] | None = None,
        seed: int = 0,
    ) -> tuple[Self, PopulationBatches]:
        """Return a model before training, and the stream of batches to train it on.

        The parameters and errors are those of `fit`.
        """
        responses, preprocessing, columns = _training_data(train, preprocessing)
        _check_responses(responses)
        keys = [response.key for response in responses]
        conditions = Conditions.of(keys, embeddings=embeddings, cell_types=settings.condition.cell_types)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = PopulationNetwork(
                settings,
                features=responses[0].control.shape[1],
                conditions=conditions,
                populations=len(responses),
                spread=spread_within(responses),
                seed=seed,
            )
        references = [
            network.reference(response.control, seed=seed, number=i, index=i) for i, response in enumerate(responses)
        ]
        encoded = conditions.encode(keys)
        batches = PopulationBatches(
            network.start_from(responses, references, encoded),
            references,
            encoded,
            coupling=settings.coupling,
            populations=settings.populations,
            cells=settings.cells,
            seed=seed,
        )
        model = cls(network, conditions, preprocessing=preprocessing, columns=columns, trained_on=keys)
        return model, batches

    # ---------------------------------------------------------------------------------------------------- prediction

    @torch.no_grad()
    def transport(
        self,
        control: Tensor,
        condition: str | PopulationKey,
        *,
        population: Tensor | None = None,
        cell_type: str | None = None,
        dose: float | None = None,
        embeddings: Mapping[str, Tensor] | None = None,
        steps: int | None = None,
        guidance: float = 1.0,
        noise: float = 0.0,
        seed: int = 0,
    ) -> Tensor:
        """Return where control cells end up under a treatment, in the model's space.

        Parameters
        ----------
        control
            The cells, shape [cells, features].
        condition
            The treatment, or the key of a population, whose treatment, dose and cell type count.
        population
            The control population that they are part of, where `control` is not all of it.
        cell_type, dose
            Of the cells and the treatment, where `condition` is a string.
        embeddings
            Of treatments that the model has not seen.
        steps
            Of the solver; those of the settings unless given.
        guidance
            Above 1, exaggerates what the treatment adds; needs a model trained with `condition.dropout`.
        noise
            Strength of the noise along the way, for models trained with a gamma; 0 follows the flow.
        seed
            Of the cells that the encoder looks at, and of the noise.

        Returns
        -------
        Tensor
            Shape [cells, features], on the CPU.

        Raises
        ------
        InputError
            If cells are not finite or have other features, or the treatment is unknown.
        """
        key = _as_key(condition, cell_type=cell_type, dose=dose)
        told = self._prepared(control, population, key, embeddings, seed)
        ways = Ways(self.network, *told, guidance=guidance, steps=steps)
        ends = []
        for number, chunk in enumerate(control.float().split(CHUNK)):
            x = chunk.to(self.device)
            generator = sample_generator(seed, number, stream="noise")
            ends.append((ways.random_ends(x, noise, generator) if noise else ways.ends(x)).cpu())
        return torch.cat(ends)

    @torch.no_grad()
    def trajectory(
        self,
        control: Tensor,
        condition: str | PopulationKey,
        *,
        population: Tensor | None = None,
        points: int = 9,
        cell_type: str | None = None,
        dose: float | None = None,
        embeddings: Mapping[str, Tensor] | None = None,
        guidance: float = 1.0,
        seed: int = 0,
    ) -> Tensor:
        """Return the ways of control cells to where `transport` puts them, in the model's space.

        Parameters
        ----------
        points
            States of each cell on its way, at equal times, the control cell and its end among them.
        control, condition, population, cell_type, dose, embeddings, guidance, seed
            As for `transport`.

        Returns
        -------
        Tensor
            Shape [points, cells, features], on the CPU. A mean shift that the model adds is spread evenly over time.

        Raises
        ------
        InputError
            As for `transport`, or if there are fewer than two points.
        """
        if points < 2:
            message = f"{points} points of a way were asked for, expected 2 or more: its ends"
            raise InputError(message)
        key = _as_key(condition, cell_type=cell_type, dose=dose)
        told = self._prepared(control, population, key, embeddings, seed)
        ways = Ways(self.network, *told, guidance=guidance)
        chunks = control.float().split(CHUNK)
        return torch.cat([ways.states(chunk.to(self.device), points).cpu() for chunk in chunks], dim=1)

    def predict(
        self,
        control: AnnData | str | Path,
        condition: str,
        *,
        dose: float | None = None,
        embeddings: Mapping[str, Tensor] | None = None,
        steps: int | None = None,
        guidance: float = 1.0,
        noise: float = 0.0,
        seed: int = 0,
    ) -> AnnData:
        """Predict treated cells from control cells, in the features that were measured.

        Parameters
        ----------
        control
            Control cells, in memory or backed, or a file of them. Treated cells among them are left out. The columns
            of donor and cell type tell populations apart; without them all cells are one population.
        condition
            The treatment.
        dose, embeddings, steps, guidance, noise, seed
            As for `transport`.

        Returns
        -------
        AnnData
            One cell for each control cell, in the same order and with the same labels, but for the condition. X holds
            the predicted features, `obsm["X_helicell"]` the model's space, `uns["helicell"]` where they are from, and
            `obs["growth"]`, if mass is not kept, what a mass of one becomes.

        Raises
        ------
        InputError
            If features are missing, there are no control cells, or the treatment is unknown.
        """
        from helicell.cells.predicting import predict

        return predict(
            self,
            control,
            condition,
            dose=dose,
            embeddings=embeddings,
            steps=steps,
            guidance=guidance,
            noise=noise,
            seed=seed,
        )

    @torch.no_grad()
    def growth(
        self,
        control: Tensor,
        condition: str | PopulationKey,
        *,
        population: Tensor | None = None,
        cell_type: str | None = None,
        dose: float | None = None,
        embeddings: Mapping[str, Tensor] | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Return what a mass of one at each control cell becomes, shape [cells]: one, unless trained unbalanced.

        The parameters and errors are those of `transport`.
        """
        key = _as_key(condition, cell_type=cell_type, dose=dose)
        references, conditions = self._prepared(control, population, key, embeddings, seed)
        chunks = control.float().split(CHUNK)
        return torch.cat(
            [self.network.masses(chunk.to(self.device)[None], references, conditions)[0].cpu() for chunk in chunks]
        )

    @property
    def share(self) -> float:
        """How much of the flow is followed, from 0 to 1; see `helicell.cells.calibration`."""
        return float(self.network.share)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.field.spread.device

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device and return the model."""
        self.network.to(device)
        return self

    def _prepared(
        self,
        control: Tensor,
        population: Tensor | None,
        key: PopulationKey,
        embeddings: Mapping[str, Tensor] | None,
        seed: int,
    ) -> tuple[ReferenceBatch, ConditionBatch]:
        check_population("control", control, features=self.network.features)
        whole = control if population is None else population
        check_population("population's", whole, features=self.network.features)
        known = self.conditions if embeddings is None else self.conditions.with_embeddings(embeddings)
        conditions = known.encode([key]).to(self.device)
        references = ReferenceBatch.of([self.network.reference(whole.float(), seed=seed)]).to(self.device)
        return references, conditions

    # ------------------------------------------------------------------------------------------------------- storage

    def save(self, path: str | Path) -> None:
        """Write the model with its card to one file; a model that was loaded is written to the same bytes."""
        from helicell.cells.storing import save_model

        save_model(self, path)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "cpu") -> Self:
        """Read a model.

        Parameters
        ----------
        path
            A file that `save` wrote.
        device
            "auto", "cpu", "cuda" or "mps".

        Raises
        ------
        InputError
            If the file is missing, damaged or no model of this kind.
        """
        from helicell.cells.storing import load_parts
        from helicell.core.runs.devices import choose_device

        network, conditions, others = load_parts(path)
        return cls(network, conditions, **others).to(choose_device(device))


def _training_data(
    train: Populations | Sequence[Response], preprocessing: Preprocessing | None
) -> tuple[Sequence[Response], Preprocessing | None, Columns | None]:
    if isinstance(train, Sequence):
        return train, preprocessing, None
    from helicell.cells.preprocessing import Preprocessing, PreprocessingSettings

    preprocessing = preprocessing or Preprocessing.fit(PreprocessingSettings(), train)
    return train.responses(preprocessing), preprocessing, train.columns


def _check_responses(responses: Sequence[Response]) -> None:
    if not responses:
        message = "there is no population to train on; give at least one control population with its treated one"
        raise InputError(message)
    features = responses[0].control.shape[-1]
    for response in responses:
        for name, cells in (("control", response.control), ("treated", response.treated)):
            check_population(f"{response.key} {name}", cells, features=features)


def _as_key(condition: str | PopulationKey, *, cell_type: str | None, dose: float | None) -> PopulationKey:
    if isinstance(condition, PopulationKey):
        return condition
    return PopulationKey("", condition, cell_type=cell_type, dose=dose)


def _bar(total: int, *, progress: bool) -> Any:
    from helicell.core.console import progress_bar

    return progress_bar("Training", total, quiet=not progress)
