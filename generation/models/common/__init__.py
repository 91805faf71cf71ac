"""What the families share: finding weights, planning memory, placing pipelines, checking frames."""
