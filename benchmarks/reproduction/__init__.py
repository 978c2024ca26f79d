"""Numbers of docs/reproduction: see `__main__`."""
