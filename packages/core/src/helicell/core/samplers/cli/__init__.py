"""The commands of `helicell samplers`, one module each; a module only parses, calls the Python API and prints.

Every module holds one function `command`. Nothing heavy is imported before a command runs.
"""

from importlib import import_module
from importlib.util import find_spec

import typer

COMMANDS = {
    "train": "train",
    "sample": "sample",
    "evaluate": "evaluate",
    "baseline": "baseline",
    "table": "table",
}

app = typer.Typer(
    help="Samplers of unnormalised densities: train, sample, evaluate, and their peers without training.",
    no_args_is_help=True,
)
for name, module in COMMANDS.items():
    if find_spec(f"{__name__}.{module}"):
        app.command(name)(import_module(f"{__name__}.{module}").command)
