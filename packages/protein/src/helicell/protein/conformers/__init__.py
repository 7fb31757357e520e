"""The Boltzmann distribution of a peptide's torsions, learned by a sampler on the torus.

A peptide (`peptide`) is built from its sequence and minimised in an AMBER force field with implicit solvent. Bond
lengths and angles stay as they are there; what moves are torsions (`torsions`), through rigid kinematics with exact
gradients (`kinematics`). The force field's terms are read out of OpenMM's system and evaluated for whole batches
(`force_field`), and torsions, kinematics and force field together are the energy (`energy`) that a sampler of
`helicell.core.samplers` learns.

What is checked against: quadrature on a grid for two torsions, parallel tempering in the same torsions for more
(`references`); Ramachandran maps of both stand side by side (`maps`, `plots`). `study` does all that in a run folder.

OpenMM comes with the extra `openmm`.
"""

from helicell.protein.conformers.energy import ConformerEnergy
from helicell.protein.conformers.peptide import Peptide, build_peptide
from helicell.protein.conformers.settings import ConformerSettings
from helicell.protein.conformers.study import study_conformers

__all__ = ["ConformerEnergy", "ConformerSettings", "Peptide", "build_peptide", "study_conformers"]
