"""Protein backbones: real chains in, a flow on rigid frames, new backbones out."""
