"""The bundle and what opens it: its description, its network, calibration and regions."""
