"""The steps of the parity ledger: tables of a run, pairs of orders, the walk that finds first causes."""
