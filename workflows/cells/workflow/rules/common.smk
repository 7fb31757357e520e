# What several rules ask of the configuration.

from itertools import product

DATA = config["data"] or f"{RESULTS}/data.h5ad"
# Every treatment that is predicted, with its dose where there are doses; files are numbered, as names may hold anything.
TREATMENTS = list(product(config["predict"]["conditions"], config["predict"]["doses"] or [None]))


def predicted_files(wildcards):
    """The files of all predictions."""
    return [f"{RESULTS}/predicted/{number}.h5ad" for number in range(1, len(TREATMENTS) + 1)]


def training_settings():
    """The settings file of the training."""
    return config["train"]["settings"] or str(Path(workflow.basedir).parent / "config" / "training.yaml")


def given(options):
    """Options with their values, without those that are not given."""
    return [f"{option}={value}" for option, value in options.items() if value is not None]


def column_options(wildcards):
    """The options of `helicell cells train` that say what the columns mean."""
    columns = config["columns"]
    features = ",".join(columns["features"]) if columns["features"] else None
    names = ("donor", "condition", "control", "cell_type", "dose", "layer")
    options = {f"--{name.replace('_', '-')}": columns[name] for name in names}
    return given({**options, "--features": features})


def train_options(wildcards):
    """The options of `helicell cells train` that the configuration may leave to it."""
    train = config["train"]
    options = given({"--preprocessing": train["preprocessing"], "--minimum-cells": train["minimum_cells"]})
    return [*options, *(f"--holdout={held}" for held in train["holdout"])]


def predict_options(wildcards):
    """What is predicted by a job, as `helicell cells predict` takes it."""
    predict = config["predict"]
    condition, dose = TREATMENTS[int(wildcards.number) - 1]
    donors = predict["donors"] or donors_of(config["train"]["holdout"])
    return given(
        {
            "--condition": condition,
            "--dose": dose,
            "--donors": ",".join(donors) or None,
            "--steps": predict["steps"],
        }
    )


def minimum_option(wildcards):
    """The same populations as in training are looked at afterwards."""
    return given({"--minimum-cells": config["train"]["minimum_cells"]})
