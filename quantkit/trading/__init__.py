"""The words of live trading, which engine, brokers and journal share: orders and their states, entries of the journal,
and the ports that a broker and a feed fill. Nothing here talks to anybody."""
