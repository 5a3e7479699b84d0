"""How fast the recognizer is on this machine, beside the loops that people write by hand.

``measure`` times the stages and whole scans, ``peers`` the loops, ``run`` all of it in order;
``report`` prints it. Whole scans run by the command line, as a user starts them.
"""
