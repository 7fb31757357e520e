# Backbones, shared out to jobs. Shard i of n makes every n-th backbone, so all shards together are one run. The output is
# the manifest and not the folder, which Snakemake would empty after a failure: a shard that was killed goes on where it
# stopped, and ends with the same bytes. It is marked as updated because every task of a Slurm job array sets up the first
# one's job before its own, and would otherwise remove the manifest of a first shard that has finished.


rule generate:
    input:
        model=model_file(),
        # A store that the target `import` makes is made first.
        reference=config["sample"]["reference"] or [],
    output:
        manifest=update(f"{RESULTS}/samples/shard_{{shard}}_of_{{shards}}/manifest.json"),
    log:
        f"{RESULTS}/logs/generate/{{shard}}_of_{{shards}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/generate/{{shard}}_of_{{shards}}.tsv"
    retries: 3
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=0,
    params:
        folder=lambda wildcards, output: Path(output.manifest).parent,
        lengths=",".join(str(length) for length in config["sample"]["lengths"]),
        per_length=config["sample"]["count"],
        model=config["sample"]["model"],
        seed=config["sample"]["seed"],
        device=config["sample"]["device"],
        precision=config["sample"]["precision"],
        file_format=config["sample"]["format"],
        options=sample_options,
    shell:
        "helicell protein sample --model {params.model:q} --length {params.lengths} --count {params.per_length}"
        " --seed {params.seed} --shard {wildcards.shard}/{wildcards.shards} --device {params.device}"
        " --precision {params.precision} --format {params.file_format} {params.options:q} --resume --replace"
        " --out {params.folder:q} > {log:q} 2>&1"
