"""A study from the command line to its files; it can resume, and says what it cannot do."""

import json

import numpy as np
import pytest
import torch
import yaml

from helicell.core.errors import InputError, MissingPackageError
from helicell.protein.conformers import ConformerSettings, build_peptide, study_conformers
from helicell.protein.conformers.study import load_study

SMALL = {
    "sequence": "A",
    "solvent": "vacuum",
    "samples": 400,
    "structures": 3,
    "reference": {"points": 36},
    "sampler": {
        "energy": "conformers",
        "process": {"steps": 4},
        "policy": {"hidden": 8},
        "training": {"iterations": 4, "batch": 10},
        "evaluation": {"samples": 20},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a small study."""
    place = tmp_path_factory.mktemp("study") / "run"
    study_conformers(ConformerSettings.from_mapping(SMALL), place)
    return place


def test_the_command(tmp_path, run_cli):
    """Options override the settings file; the metrics come as JSON; a wrong option is told in one line."""
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(SMALL))
    given = ("protein", "conformers", tmp_path / "settings.yaml", "--out", tmp_path / "run", "--json", "--quiet")
    result = run_cli(*given, "--reference", "none", "--iterations", 2)
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["torsions"] == ["phi1", "psi1"]
    assert found["training"]["iterations"] == 2
    assert "log_z_error" not in found
    result = run_cli(*given[:-3], tmp_path / "other", "--sequence", "AZ")
    assert result.code == 2
    assert "one-letter codes" in result.err


def test_what_a_study_leaves(folder):
    """Samples with weights, structures with all atoms whose torsions are the samples', a figure, metrics."""
    metrics = json.loads((folder / "metrics.json").read_text())
    (residue,) = metrics["residues"]
    assert sum(residue["reference"].values()) == pytest.approx(1.0)
    assert residue["kl_sampler"] > residue["kl_floor"] > 0
    assert metrics["log_z_error"] >= metrics["log_z_rw_error"]
    samples = np.load(folder / "samples.npz")
    assert samples["torsions"].shape == (400, 2)
    text = (folder / "conformers.pdb").read_text()
    assert text.count("MODEL") - text.count("ENDMDL") == 0
    assert sum(line.startswith(("ATOM", "HETATM")) for line in text.splitlines()) == 3 * 22
    energy, sampler = load_study(folder)
    first = [line for line in text.splitlines() if line.startswith(("ATOM", "HETATM"))][:22]
    positions = torch.tensor([[float(line[30 + 8 * i : 38 + 8 * i]) for i in range(3)] for line in first])
    measured = energy.kinematics.measure(positions.double()[None])[0]
    assert (measured - torch.from_numpy(samples["torsions"][0])).sin().abs().max() < 0.01
    again = sampler.sample(5, seed=0)
    np.testing.assert_allclose(again.points.numpy(), samples["torsions"][:5], atol=1e-5)
    svg = (folder / "ramachandran.svg").read_text()
    assert "exact" in svg
    assert "phi (degrees)" in svg


def test_a_finished_training_is_not_made_again(folder):
    """Without its last file a study goes on from the trained sampler, and ends with the same samples."""
    before, model = (folder / "samples.npz").read_bytes(), (folder / "sampler" / "model.safetensors").stat().st_mtime_ns
    (folder / "manifest.json").unlink()
    study_conformers(ConformerSettings.from_yaml(folder / "settings.yaml"), folder, resume=True)
    assert (folder / "samples.npz").read_bytes() == before
    assert (folder / "sampler" / "model.safetensors").stat().st_mtime_ns == model


def test_tempering_as_reference(tmp_path):
    """Two residues are held against tempering, with log Z from annealing."""
    options = {
        **SMALL,
        "sequence": "GA",
        "reference": {"chains": 4, "steps": 100, "annealings": 1, "particles": 10, "stages": 3},
    }
    metrics = study_conformers(ConformerSettings.from_mapping(options), tmp_path / "run")
    assert metrics["torsions"] == ["phi1", "psi1", "phi2", "psi2"]
    assert len(metrics["residues"]) == 2
    assert 0 <= metrics["residues"][0]["js_floor"] <= np.log(2)
    assert len(metrics["reference"]["log_z_estimates"]) == 1


def test_what_a_study_refuses(tmp_path, monkeypatch):
    """Torsions without a map are refused before anything is made; a missing OpenMM is named with its extra."""
    options = {**SMALL, "torsions": ["phi"]}
    with pytest.raises(InputError, match="both phi and psi"):
        study_conformers(ConformerSettings.from_mapping(options), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr("helicell.protein.conformers.peptide.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"helicell\[openmm\]"):
        build_peptide("A")
