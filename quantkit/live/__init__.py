"""The live engine: what the fold decides becomes orders at a broker, is journalled, recovered and laid beside the
backtest. One task owns an account; everything else sends it messages."""
