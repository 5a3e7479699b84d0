"""Archives and tables: how their images are found, and the process in which that is done."""
