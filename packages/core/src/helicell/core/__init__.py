"""What proteins and cells share: spaces, paths, dynamics, training, reproducible runs and the command line."""
