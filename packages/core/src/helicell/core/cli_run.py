"""The command `helicell run`: a workflow by its name, everything else handed on to Snakemake."""

from typing import Annotated

import typer

from helicell.core.console import start_logging
from helicell.core.errors import HelicellError

# Options that this command does not know are Snakemake's.
CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True}


def command(
    context: typer.Context,
    workflow: Annotated[str, typer.Argument(help="Name of the workflow, such as protein.")],
    *,
    profile: Annotated[
        str, typer.Option(help="Where it runs: default (this machine), slurm, or the folder of a profile of your own.")
    ] = "default",
) -> None:
    """Run a workflow with Snakemake: helicell run WORKFLOW [TARGETS] [OPTIONS OF SNAKEMAKE].

    The configuration comes from the workflow's own config.yaml; --configfile FILE and --config KEY=VALUE override it,
    --directory DIR says where the results go, and -n only shows what would be done. All options: snakemake --help.
    """
    from helicell.core.runs.workflows import find_workflow, run_workflow

    start_logging(quiet=False)
    code = run_workflow(find_workflow(workflow), context.args, profile=profile)
    if code != 0:
        message = f"the workflow {workflow} did not finish (Snakemake ended with code {code}); its messages stand above"
        raise HelicellError(message)
