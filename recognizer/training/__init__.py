"""Training, calibration, evaluation and export: what the extra ``train`` is for."""
