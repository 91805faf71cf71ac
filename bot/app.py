"""The composition root: the only module that names every class; opens, runs, closes."""
