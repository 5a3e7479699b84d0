"""Evidence: a case folder for one or more leads, and the check that nothing in it was changed."""
