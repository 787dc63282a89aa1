"""Reports that compare runs, as pages and as data: the choice of runs, tables, figures, page."""
