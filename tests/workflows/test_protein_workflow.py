"""The protein workflow: its configuration is documented and checked, its jobs depend on each other as they should."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from helicell.core.errors import InputError
from helicell.protein.pipeline import PipelineSettings, schema_text

DIRECTIVES = ("log", "benchmark", "threads", "retries", "resources")


@pytest.fixture
def folder(root: Path) -> Path:
    """The folder of the workflow."""
    return root / "workflows" / "protein"


@pytest.fixture
def plan(root: Path, tmp_path: Path) -> Callable[..., str]:
    """Return a function that gives the jobs which Snakemake would run in an empty folder, with their commands."""

    def run(*arguments: str) -> str:
        snakefile = root / "workflows" / "protein" / "workflow" / "Snakefile"
        command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--cores", "1", "-n", "-p", *arguments]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr

    return run


def commands(plan: str, name: str) -> list[str]:
    """The planned calls of one `helicell protein` command."""
    return re.findall(rf"helicell protein {name} .*", plan)


def test_schema_is_made_from_the_settings(folder: Path) -> None:
    """The committed schema is what the settings classes give today (`make schemas` writes it)."""
    assert (folder / "workflow" / "schemas" / "config.schema.yaml").read_text() == schema_text()


def test_configuration_names_every_key_with_its_default(folder: Path) -> None:
    """config.yaml holds exactly the keys of the settings, at their defaults, and a comment stands above each."""
    text = (folder / "config" / "config.yaml").read_text()
    assert yaml.safe_load(text) == PipelineSettings().to_mapping()
    lines = text.splitlines()
    keys = [index for index, line in enumerate(lines) if re.match(r"\s+\w+:", line)]
    assert len(keys) == sum(len(part) for part in PipelineSettings().to_mapping().values() if isinstance(part, dict))
    assert [lines[index] for index in keys if not lines[index - 1].lstrip().startswith("#")] == []


def test_small_configuration_is_valid(folder: Path) -> None:
    """The configuration for continuous integration holds known keys only."""
    settings = PipelineSettings.from_yaml(folder / ".test" / "config" / "config.yaml")
    assert settings.sample.count == 2
    with pytest.raises(InputError, match=r"unknown key 'sample\.cout'"):
        PipelineSettings.from_mapping({"sample": {"cout": 2}})


def test_every_rule_is_complete(folder: Path) -> None:
    """Each rule that does something logs, is timed, and says what it needs; each calls the command line only."""
    text = "".join(file.read_text() for file in (folder / "workflow" / "rules").glob("*.smk"))
    rules = dict(re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", text, re.MULTILINE))
    assert set(rules) == {"generate", "evaluate", "report", "import_chains", "train"}
    for name, body in rules.items():
        present = set(re.findall(r"^    (\w+):", body, re.MULTILINE))
        assert set(DIRECTIVES) <= present, name
        assert {"mem_mb", "runtime", "gpu"} <= set(re.findall(r"^        (\w+)=", body, re.MULTILINE)), name
        assert re.search(r'shell:\n        "helicell protein \w+ ', body), name
        assert not present & {"run", "script", "notebook"}, name


def test_lint_is_clean(folder: Path, tmp_path: Path) -> None:
    """`snakemake --lint` finds nothing to say."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", folder / "workflow" / "Snakefile", "--lint"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "in a good condition" in ended.stdout + ended.stderr


def test_shards_share_one_run(plan: Callable[..., str]) -> None:
    """The shards differ in nothing but their number, and all feed one evaluation and one report."""
    text = plan("--config", "sample={shards: 3, count: 5, lengths: [50, 60-70]}")
    generate = commands(text, "sample")
    shards = [re.findall(r"--shard (\d/\d)", command)[0] for command in generate]
    assert sorted(shards) == ["1/3", "2/3", "3/3"]
    assert len({re.sub(r"\d(/|_of_)3", "", command) for command in generate}) == 1
    assert all("--model compact --length 50,60-70 --count 5 --seed 7" in command for command in generate)
    (evaluate,), (report,) = commands(text, "evaluate"), commands(text, "report")
    assert " results/samples/shard_*_of_3 " in evaluate
    assert " results/samples/shard_*_of_3 " in report
    assert "--reference" not in evaluate + report


def test_options_reach_the_commands(plan: Callable[..., str], tmp_path: Path) -> None:
    """A model, a batch size and a reference appear as options only when they are given, and with odd names quoted."""
    (tmp_path / "my model.safetensors").touch()
    (tmp_path / "store").mkdir()
    (tmp_path / "mine.yaml").write_text(
        "results: out\nsample: {model: my model.safetensors, batch_size: 3, steps: 9, shards: 1}\n"
        'evaluate: {reference: store}\nreport: {title: "Bob\'s"}\n'
    )
    text = plan("--configfile", "mine.yaml")
    (sample,), (evaluate,), (report,) = (commands(text, name) for name in ("sample", "evaluate", "report"))
    assert "--model 'my model.safetensors' " in sample
    assert "--steps=9 --batch-size=3 --resume --replace --out out/samples/shard_1_of_1" in sample
    assert "--reference=store --workers 1 --out out/metrics.json" in evaluate
    assert """--title 'Bob'"'"'s'""" in report


def test_a_search_reaches_the_commands(plan: Callable[..., str], tmp_path: Path) -> None:
    """Filter, number and bound are handed on as they were written, and the store of novelty is an input."""
    (tmp_path / "known chains").mkdir()
    (tmp_path / "mine.yaml").write_text(
        "sample: {filter: clashes == 0 and novelty < 0.6, until: 96, at_most: 5000, reference: known chains}\n"
    )
    text = plan("--configfile", "mine.yaml")
    for command in commands(text, "sample"):
        assert (
            "'--filter=clashes == 0 and novelty < 0.6' --until=96 --at-most=5000 '--reference=known chains'" in command
        )
    assert "input: known chains" in text


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        ({"until": 3}, "until counts the backbones that pass a filter, which is missing"),
        ({"until": 3, "filter": "rg < 9", "shards": 4}, "cannot be shared among 4 shards"),
    ],
)
def test_searches_that_cannot_be_are_refused(sample: dict[str, object], told: str) -> None:
    """A number without a filter, or shards without a share of it, are errors before anything starts."""
    with pytest.raises(InputError, match=told):
        PipelineSettings.from_mapping({"sample": sample})


def test_odd_names_of_folders_reach_the_shell_whole(plan: Callable[..., str]) -> None:
    """The pattern of the shards is expanded by the shell, and a space before it is not."""
    text = plan("--config", "results=my results")
    assert "'my results'/samples/shard_*_of_2" in commands(text, "evaluate")[0]
    assert "--out 'my results/samples/shard_1_of_2' >" in text


def test_a_million_backbones_are_planned_in_a_minute(root: Path, tmp_path: Path) -> None:
    """The plan of 2,000 shards takes less than 60 s of processor time and 2 GB; every shard is in it."""
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", root / "workflows" / "protein" / "workflow" / "Snakefile"),
        *("--cores", "1", "-n", "--config", "sample={shards: 2000, count: 1000000, lengths: [60-128]}"),
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, text[-2000:]
    assert re.search(r"generate +2000\n", text)
    assert usage.ru_utime + usage.ru_stime < 60
    # Linux counts in kB.
    assert usage.ru_maxrss < 2 * 1024**2


def test_training_comes_before_sampling_from_it(plan: Callable[..., str], tmp_path: Path) -> None:
    """Naming the trained model and the imported store makes the workflow import, train, sample, in that order."""
    (tmp_path / "structures").mkdir()
    (tmp_path / "mine.yaml").write_text(
        "chains: {source: structures}\nsample: {model: runs/train/model.safetensors}\n"
        "evaluate: {reference: stores/chains}\n"
    )
    text = plan("--configfile", "mine.yaml")
    order = [text.index(f"helicell protein {name} ") for name in ("import", "train", "sample", "evaluate", "report")]
    assert order == sorted(order)
    assert "--model runs/train/model.safetensors" in commands(text, "sample")[0]
    assert "--reference=stores/chains" in commands(text, "evaluate")[0]


def test_further_targets(plan: Callable[..., str], tmp_path: Path) -> None:
    """`import` and `train` can be asked for by name, and run nothing else."""
    (tmp_path / "structures").mkdir()
    only_import = plan("import", "--config", "chains={source: structures}")
    assert set(re.findall(r"helicell protein (\w+) ", only_import)) == {"import"}
    training = plan("train", "--config", "chains={source: structures}")
    assert set(re.findall(r"helicell protein (\w+) ", training)) == {"import", "train"}


def test_profiles_hold_options_of_snakemake(plan: Callable[..., str], folder: Path) -> None:
    """Both profiles are accepted; on Slurm, generation asks for a GPU and training does."""
    assert "helicell protein sample" in plan("--profile", str(folder / "profiles" / "default"))
    slurm = plan("--profile", str(folder / "profiles" / "slurm"))
    assert re.search(r"rule generate:.*?gpu=1", slurm, re.DOTALL)
    profile = yaml.safe_load((folder / "profiles" / "slurm" / "config.yaml").read_text())
    assert profile["slurm-array-jobs"] == "generate"
