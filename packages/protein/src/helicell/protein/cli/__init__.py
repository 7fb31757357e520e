"""The commands of `helicell protein`, one module each; a module only parses, calls the Python API and prints.

Every module holds one function `command`. Nothing heavy is imported before a command runs.
"""

from importlib import import_module
from importlib.util import find_spec

import typer

COMMANDS = {
    "import": "import_",
    "stats": "stats",
    "train": "train",
    "convert": "convert",
    "sample": "sample",
    "design": "design",
    "evaluate": "evaluate",
    "report": "report",
}

app = typer.Typer(
    help="Protein backbones: import chains, train or convert a flow, sample, design sequences, evaluate, report.",
    no_args_is_help=True,
)
for name, module in COMMANDS.items():
    if find_spec(f"{__name__}.{module}"):
        app.command(name)(import_module(f"{__name__}.{module}").command)
