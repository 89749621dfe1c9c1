"""Prices in memory (`bars`), corporate actions (`actions`) and the tables on disk (`lake`).

Importing this package loads nothing: import the module you need.
"""
