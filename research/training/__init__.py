"""How training uses a machine: steps recorded for a GPU."""
