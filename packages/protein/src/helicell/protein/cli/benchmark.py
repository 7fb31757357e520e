"""`helicell protein benchmark`: a model judged as papers judge theirs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from helicell.core import console
from helicell.protein.cli.designability import print_metrics

EXAMPLES = """\b
Examples:
  helicell protein benchmark compact --folding weights/esmfold --out benchmark
  helicell protein benchmark reqflow.safetensors --settings mine.yaml --out benchmark --resume
"""


def command(
    model: Annotated[
        str | None, typer.Argument(help="Embedded model or .safetensors file; that of the settings by default.")
    ] = None,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder to make: backbones, designability, metrics.")],
    settings: Annotated[
        Path | None, typer.Option(help="Settings file (YAML); the published protocol by default.")
    ] = None,
    folding: Annotated[
        str | None, typer.Option(help="Weights of ESMFold: a folder, or a name in the cache of the model hub.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Network evaluations a backbone; the model's by default.")] = None,
    reference: Annotated[Path | None, typer.Option(help="Store of natural chains: adds novelty.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes for alignments; all cores by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run in the same folder.")] = False,
    quiet: console.Quiet = False,
    as_json: console.Json = False,
) -> None:
    """Judge a model from end to end: sample, measure, design sequences, fold them, and compare.

    Without a settings file it is the evaluation that papers report: 50 backbones of 100, 150, 200, 250 and 300
    residues, eight sequences each, designable below 2 A.
    """
    from helicell.protein.chains.cores import available_cores
    from helicell.protein.protocol import PUBLISHED_PROTOCOL, ProtocolSettings, benchmark_to_folder
    from helicell.protein.sampling import plan_requests

    console.start_logging(quiet=quiet)
    read = ProtocolSettings.from_yaml(settings or PUBLISHED_PROTOCOL).to_mapping()
    sampling = {"model": model, "steps": steps}
    judged = {"folding": folding, "reference": str(reference) if reference else None}
    chosen = ProtocolSettings.from_mapping(
        {
            "sampling": _with(read["sampling"], sampling),
            "designability": _with(read["designability"], judged),
        },
        source="options",
    )
    total = 2 * len(plan_requests(chosen.sampling))
    with console.progress_bar("sampling and folding", total, quiet=quiet) as advance:
        metrics = benchmark_to_folder(
            chosen, out, resume=resume, workers=workers or available_cores(), sampled=advance, folded=advance
        )
    if as_json:
        console.print_json({"folder": str(out), **metrics})
    elif not quiet:
        print_metrics(metrics)
        console.print_mapping("backbones", metrics["backbones"])


def _with(settings: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return settings with what the command line says in place."""
    return settings | {name: value for name, value in given.items() if value is not None}


command.__doc__ = f"{command.__doc__}\n\n{EXAMPLES}"
