"""The commands of `helicell cells`, one module each; a module only parses, calls the Python API and prints.

Every module holds one function `command`. Nothing heavy is imported before a command runs.
"""

from importlib import import_module
from importlib.util import find_spec

import typer

COMMANDS = {
    "simulate": "simulate",
    "train": "train",
    "predict": "predict",
    "evaluate": "evaluate",
    "report": "report",
    "course": "course",
    "interpolate": "interpolate",
    "follow": "follow",
}

app = typer.Typer(
    help="Populations of cells: simulate, train, predict responses, evaluate, report; time courses.",
    no_args_is_help=True,
)
app.callback()(lambda: None)
for name, module in COMMANDS.items():
    if find_spec(f"{__name__}.{module}"):
        app.command(name)(import_module(f"{__name__}.{module}").command)
