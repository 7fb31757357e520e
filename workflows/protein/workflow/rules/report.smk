# One HTML file with everything in it.


rule report:
    input:
        samples=shard_manifests,
        metrics=rules.evaluate.output.metrics,
        table=rules.evaluate.output.table,
        reference=config["evaluate"]["reference"] or [],
    output:
        page=report(
            f"{RESULTS}/report.html",
            caption="../report/report.rst",
            category="Protein backbones",
            labels={"page": "report of all backbones"},
        ),
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    retries: 1
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
        gpu=0,
    params:
        samples=shard_pattern,
        title=config["report"]["title"],
        structures=config["report"]["structures"],
        reference=reference_option,
    shell:
        "helicell protein report {params.samples} --metrics {input.metrics:q} {params.reference:q}"
        " --title {params.title:q} --structures {params.structures} --out {output.page:q} > {log:q} 2>&1"
