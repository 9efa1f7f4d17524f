"""The machine and the environment that a run used."""
