"""Networks that look at noisy frames and predict clean ones; SE(3)-equivariant by construction."""
