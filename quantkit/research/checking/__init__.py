"""What `qk.check` does, step by step: plan, probes, findings, causes, hints, report; `lookahead` puts them together."""
