"""What a bundle is worth: metrics, figures, reports. It needs no torch."""
