"""An exchange on your own machine: books, auctions, price limits, accounts, and faults on request."""
