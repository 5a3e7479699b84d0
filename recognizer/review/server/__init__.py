"""The review queue for one team: a small server over a scan's file and its outcomes."""
