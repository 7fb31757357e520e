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
    "rectify": "rectify",
    "convert": "convert",
    "sample": "sample",
    "scaffold": "scaffold",
    "assemble": "assemble",
    "vary": "vary",
    "steer": "steer",
    "design": "design",
    "designability": "designability",
    "benchmark": "benchmark",
    "evaluate": "evaluate",
    "report": "report",
    "conformers": "conformers",
}

app = typer.Typer(
    help="Protein backbones: import chains, train a flow, sample, scaffold motifs, design sequences, evaluate, report.",
    no_args_is_help=True,
)
for name, module in COMMANDS.items():
    if find_spec(f"{__name__}.{module}"):
        app.command(name)(import_module(f"{__name__}.{module}").command)
