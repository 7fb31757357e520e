# What several rules ask of the configuration.

TASKS = {task["name"]: task for task in config["tasks"]}


def run_folders(wildcards):
    """The folders of all trainings."""
    return expand(
        f"{RESULTS}/runs/{{task}}.{{objective}}.{{seed}}",
        task=list(TASKS),
        objective=config["objectives"],
        seed=config["seeds"],
    )


def run_files(wildcards):
    """What shows that all trainings are finished."""
    return [f"{folder}/metrics.json" for folder in run_folders(wildcards)]


def settings_file(wildcards):
    """The settings file of a task, or the common one, if there is either."""
    return TASKS[wildcards.task]["settings"] or config["settings"] or []


def train_options(wildcards):
    """The options of `helicell samplers train` that are left out unless the configuration gives them."""
    task = TASKS[wildcards.task]
    given = {"--dim": task["dim"], "--iterations": config["iterations"]}
    switches = {"langevin": config["langevin"], "local-search": config["local_search"]}
    chosen = [f"--{name}" if on else f"--no-{name}" for name, on in switches.items() if on is not None]
    return [f"{option}={value}" for option, value in given.items() if value is not None] + chosen
