# All trainings side by side.


rule table:
    input:
        metrics=run_files,
    output:
        table=report(f"{RESULTS}/table.csv", caption="../report/table.rst", category="Comparison"),
        figure=report(f"{RESULTS}/trainings.svg", caption="../report/table.rst", category="Comparison"),
    log:
        f"{RESULTS}/logs/table.log",
    benchmark:
        f"{RESULTS}/benchmarks/table.tsv"
    retries: 1
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
        gpu=0,
    params:
        runs=run_folders,
    shell:
        "helicell samplers table {params.runs:q} --out {output.table:q} --plot {output.figure:q} > {log:q} 2>&1"
