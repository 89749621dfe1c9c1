"""An exchange on your own machine: books, auctions, price limits, accounts, and faults on request.

grid, volatility   ticks, limits and volatility interruptions of a name on a day, from `quantkit.market`
book, auction      price-time priority in continuous trading, one price in calls
accounts           cash by settlement day, shares, what open orders bind, commission and tax
session            the phases of a day as moments
paths, sources     bars or recorded ticks turned into the flow of everybody else
crowd, issue       everybody else's orders, and one name's market
exchange           all of it, on the time it is given
faults             what goes wrong between a broker and its client, as data
port, feed         our Broker and Feed ports straight on the exchange
"""
