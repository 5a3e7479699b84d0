"""The verbs of the reviewers' desk."""
