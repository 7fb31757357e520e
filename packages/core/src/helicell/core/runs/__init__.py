"""Reproducible jobs: settings, random streams, devices, files that are whole or absent, and run folders.

The modules are imported by name (`from helicell.core.runs.seeds import sample_generator`), so that a job which only
reads settings does not wait for torch.
"""
