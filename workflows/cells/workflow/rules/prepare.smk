# The cells: donors that are simulated, where the configuration names no data. Data that it names is checked by `train`,
# before anything is made of it.


rule prepare:
    output:
        data=f"{RESULTS}/data.h5ad",
    log:
        f"{RESULTS}/logs/prepare.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare.tsv"
    retries: 1
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
    params:
        donors=config["simulate"]["donors"],
        drugs=config["simulate"]["drugs"],
        cells=config["simulate"]["cells"],
        measurement=config["simulate"]["measurement"],
        seed=config["simulate"]["seed"],
    shell:
        "helicell cells simulate donors --donors {params.donors} --drugs {params.drugs} --cells {params.cells}"
        " --measurement {params.measurement} --seed {params.seed} --out {output.data:q} > {log:q} 2>&1"
