"""Whole sessions on virtual time under random faults and crashes, judged from outside. `python -m tests.simulation`."""
