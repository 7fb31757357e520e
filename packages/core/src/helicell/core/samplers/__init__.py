"""Amortised samplers of unnormalised densities: diffusion samplers trained off-policy, their peers, and their metrics.

An energy (`energies`) meets a reference process (`process`) and a policy (`policies`) in a `Sampler`; paths (`paths`)
are made without a graph, objectives (`objectives`) are functions of their log probabilities, and training (`training`)
adds exploration, a replay buffer (`replay`) and local search (`local_search`). `metrics` measures, `baselines` holds
the peers.
"""
