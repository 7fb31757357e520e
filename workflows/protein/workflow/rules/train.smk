# From structures to a store of chains, and from a store to a model.


rule import_chains:
    name:
        "import"
    input:
        source=config["chains"]["source"] or [],
        settings=config["chains"]["settings"] or [],
    output:
        store=directory(config["chains"]["store"]),
    log:
        f"{RESULTS}/logs/import.log",
    benchmark:
        f"{RESULTS}/benchmarks/import.tsv"
    retries: 0
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=0,
    params:
        settings=lambda wildcards, input: [f"--settings={file}" for file in [input.settings] if file],
    shell:
        "helicell protein import {input.source:q} {params.settings:q} --workers {threads} --out {output.store:q}"
        " > {log:q} 2>&1"


rule train:
    input:
        store=config["chains"]["store"],
        settings=config["train"]["settings"] or [],
    output:
        model=f"{config['train']['run']}/model.safetensors",
    log:
        f"{RESULTS}/logs/train.log",
    benchmark:
        f"{RESULTS}/benchmarks/train.tsv"
    retries: 2
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=1440,
        gpu=0,
    params:
        run=lambda wildcards, output: Path(output.model).parent,
    shell:
        "helicell protein train {input.settings:q} --store {input.store:q} --out {params.run:q} --resume > {log:q} 2>&1"
