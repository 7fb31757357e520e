"""Models of others that come as optional packages, each touched by one module here."""
