"""Real processes, killed: an account on a journal on disk, and an exchange in another process that goes on."""
