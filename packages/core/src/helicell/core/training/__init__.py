"""Learning a field: the training module, its settings, and checkpoints with a model card."""
