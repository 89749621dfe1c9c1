"""Steps from one form of the journal's tables to the next, as Alembic's scripts: `versions/`.

Contract: a step never imports today's tables, so that it does tomorrow what it did when it was written.
"""
