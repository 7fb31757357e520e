# Treated cells of the held-out populations from their control cells, a job for each treatment.


rule predict:
    input:
        run=rules.train.output.run,
        data=DATA,
    output:
        cells=f"{RESULTS}/predicted/{{number}}.h5ad",
    log:
        f"{RESULTS}/logs/predict/{{number}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/predict/{{number}}.tsv"
    retries: 1
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=0,
    params:
        options=predict_options,
        guidance=config["predict"]["guidance"],
        seed=config["predict"]["seed"],
        device=config["predict"]["device"],
    shell:
        "helicell cells predict {input.run:q} --control {input.data:q} {params.options:q} --guidance {params.guidance}"
        " --seed {params.seed} --device {params.device} --out {output.cells:q} > {log:q} 2>&1"
