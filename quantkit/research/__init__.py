"""Research: many runs, out-of-sample runs, and whether to believe them.

    trial        one run on shared, prepared bars: figures only
    lookahead    does a strategy know tomorrow: hide it, change it, and compare; its steps are in checking/
    walkforward  parameters chosen on the past, traded on what follows
    crossvalidation  parameters chosen on some of the time, judged on the rest
    splits       folds without leaks, for scikit-learn
    holdout      the last years, put aside and looked at once
    sweep        a space of parameters, run over threads, processes or a cluster
    runs         the log of what was tried, and how often
    overfit      statistics of luck
    noise        the same rule when something that should not matter changes
    verdict      what would have to be true for a result to be real

Modules are imported by name (`from quantkit.research import overfit`); what most people need is in `quantkit` itself.
"""
