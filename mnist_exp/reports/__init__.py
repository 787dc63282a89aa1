"""Reports that compare runs: the choice of runs, groups of equal configuration, statistics, tables, figures, page."""
