# What the backbones are like, one by one and in sum, beside natural chains.


rule evaluate:
    input:
        samples=shard_manifests,
        # A store that the target `import` makes is made first.
        reference=config["evaluate"]["reference"] or [],
    output:
        metrics=f"{RESULTS}/metrics.json",
        table=f"{RESULTS}/metrics.csv",
    log:
        f"{RESULTS}/logs/evaluate.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate.tsv"
    retries: 1
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=0,
    params:
        samples=shard_pattern,
        reference=reference_option,
    shell:
        "helicell protein evaluate {params.samples} {params.reference:q} --workers {threads} --out {output.metrics:q}"
        " > {log:q} 2>&1"
