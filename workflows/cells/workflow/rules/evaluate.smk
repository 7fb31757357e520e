# Predictions against the treated cells, population by population and in sum, beside the baselines.


rule evaluate:
    input:
        predicted=predicted_files,
        data=DATA,
        run=rules.train.output.run,
    output:
        metrics=f"{RESULTS}/metrics.json",
        table=f"{RESULTS}/metrics.csv",
    log:
        f"{RESULTS}/logs/evaluate.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate.tsv"
    retries: 1
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=0,
    params:
        cells=config["evaluate"]["cells"],
        seeds=config["evaluate"]["seeds"],
        minimum=minimum_option,
    shell:
        "helicell cells evaluate {input.predicted:q} --reference {input.data:q} --model {input.run:q} {params.minimum:q}"
        " --cells {params.cells} --seeds {params.seeds} --out {output.metrics:q} > {log:q} 2>&1"
