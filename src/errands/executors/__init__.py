"""Where the function of a claimed job runs: one file for each kind of place."""
