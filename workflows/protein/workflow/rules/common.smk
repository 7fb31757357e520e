# What several rules ask of the configuration.


def shard_manifests(wildcards):
    """The manifests of all shards, which are written last."""
    shards = config["sample"]["shards"]
    return [f"{RESULTS}/samples/shard_{shard}_of_{shards}/manifest.json" for shard in range(1, shards + 1)]


def shard_pattern(wildcards):
    """The folders of all shards as a pattern for the shell: thousands of names would be too long for a command."""
    return f"{quote(RESULTS)}/samples/shard_*_of_{config['sample']['shards']}"


def model_file():
    """The model if it is a file, which the target `train` may have to make first; none for one inside the package."""
    model = config["sample"]["model"]
    return model if model.endswith(".safetensors") else []


def sample_options(wildcards):
    """The options of `helicell protein sample` that are left out unless the configuration gives them."""
    optional = ["steps", "batch_size", "filter", "until", "at_most", "reference"]
    given = {name: config["sample"][name] for name in optional}
    return [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not None]


def reference_option(wildcards, input):
    """The reference of `helicell protein evaluate` and `report`, if the configuration names one."""
    return [f"--reference={store}" for store in [input.reference] if store]
