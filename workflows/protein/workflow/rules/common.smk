# What several rules ask of the configuration.


def shard_folders(wildcards):
    """The folders of all shards."""
    shards = config["sample"]["shards"]
    return [f"{RESULTS}/samples/shard_{shard}_of_{shards}" for shard in range(1, shards + 1)]


def model_file():
    """The model if it is a file, which the target `train` may have to make first; none for one inside the package."""
    model = config["sample"]["model"]
    return model if model.endswith(".safetensors") else []


def sample_options(wildcards):
    """The options of `helicell protein sample` that are left out unless the configuration gives them."""
    given = {"--steps": config["sample"]["steps"], "--batch-size": config["sample"]["batch_size"]}
    return [f"{option}={value}" for option, value in given.items() if value is not None]


def reference_option(wildcards, input):
    """The reference of `helicell protein evaluate` and `report`, if the configuration names one."""
    return [f"--reference={store}" for store in [input.reference] if store]
