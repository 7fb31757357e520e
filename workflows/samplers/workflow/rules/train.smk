# A training of one objective on one task, with one seed. A job that was killed goes on from its last checkpoint.


rule train:
    input:
        settings=settings_file,
    output:
        model=f"{RESULTS}/runs/{{task}}.{{objective}}.{{seed}}/model.safetensors",
        metrics=f"{RESULTS}/runs/{{task}}.{{objective}}.{{seed}}/metrics.json",
        samples=report(
            f"{RESULTS}/runs/{{task}}.{{objective}}.{{seed}}/samples.svg",
            caption="../report/samples.rst",
            category="Samples",
            labels={"task": "{task}", "objective": "{objective}", "seed": "{seed}"},
        ),
    log:
        f"{RESULTS}/logs/train/{{task}}.{{objective}}.{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{task}}.{{objective}}.{{seed}}.tsv"
    retries: 1
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        gpu=0,
    params:
        energy=lambda wildcards: TASKS[wildcards.task]["energy"],
        options=train_options,
        run=lambda wildcards, output: Path(output.model).parent,
    shell:
        "helicell samplers train {input.settings:q} --energy {params.energy:q} --objective {wildcards.objective}"
        " --seed {wildcards.seed} {params.options:q} --out {params.run:q} --resume > {log:q} 2>&1"
