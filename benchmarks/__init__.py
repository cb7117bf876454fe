"""Measurements: `unseen bench …`. Every row of a table carries the error of the very run it times."""
