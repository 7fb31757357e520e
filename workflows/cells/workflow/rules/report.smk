# One HTML file with everything in it.


rule report:
    input:
        predicted=predicted_files,
        data=DATA,
        run=rules.train.output.run,
        metrics=rules.evaluate.output.metrics,
        table=rules.evaluate.output.table,
    output:
        page=report(
            f"{RESULTS}/report.html",
            caption="../report/report.rst",
            category="Cell populations",
            labels={"page": "report of all populations"},
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    retries: 1
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
    params:
        title=config["report"]["title"],
        populations=config["report"]["populations"],
        minimum=minimum_option,
    shell:
        "helicell cells report {input.predicted:q} --reference {input.data:q} --metrics {input.metrics:q}"
        " --model {input.run:q} {params.minimum:q} --title {params.title:q} --populations {params.populations}"
        " --out {output.page:q} > {log:q} 2>&1"
