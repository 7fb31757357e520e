# A model of all populations but the held-out ones.


rule train:
    input:
        data=DATA,
        settings=training_settings(),
    output:
        run=directory(f"{RESULTS}/run"),
    log:
        f"{RESULTS}/logs/train.log",
    benchmark:
        f"{RESULTS}/benchmarks/train.tsv"
    retries: 1
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=lambda wildcards, attempt: 480 * attempt,
        gpu=0,
    params:
        columns=column_options,
        options=train_options,
        seed=config["train"]["seed"],
        device=config["train"]["device"],
    shell:
        "helicell cells train {input.data:q} {params.columns:q} {params.options:q} --settings {input.settings:q}"
        " --seed {params.seed} --device {params.device} --quiet --out {output.run:q} > {log:q} 2>&1"
