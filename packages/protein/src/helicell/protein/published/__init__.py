"""Checkpoints that others published: reading and converting them, and sampling and losses as their authors wrote them.

The network itself is `helicell.protein.networks.framediff`.
"""
