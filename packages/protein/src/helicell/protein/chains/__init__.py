"""The training set: real chains imported into a memory-mapped store, measured, filtered and batched.

``sources`` read what users have; ``importing`` brings it through ``filters`` and ``clusters`` into a ``store``, whose
files ``layout`` describes and ``writer`` makes. ``statistics`` and ``figures`` show what is in it, ``batching`` serves
it to a training.
"""
