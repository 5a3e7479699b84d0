"""The review of a scan: its queue, and the page on which reviewers work through it."""
