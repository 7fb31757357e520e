# Backbones, shared out to jobs. Shard i of n makes every n-th backbone, so all shards together are one run.


rule generate:
    input:
        model=model_file(),
    output:
        samples=directory(f"{RESULTS}/samples/shard_{{shard}}_of_{{shards}}"),
    log:
        f"{RESULTS}/logs/generate/{{shard}}_of_{{shards}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/generate/{{shard}}_of_{{shards}}.tsv"
    retries: 1
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=0,
    params:
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
        " --precision {params.precision} --format {params.file_format} {params.options:q} --out {output.samples:q}"
        " > {log:q} 2>&1"
