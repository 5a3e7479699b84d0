"""The review of a scan: its queue as a page, the evidence of a lead, and what came of it."""
