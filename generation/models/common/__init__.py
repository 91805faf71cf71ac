"""What the families share: finding weights, holding a pipeline, watching its steps, judging its picture."""
