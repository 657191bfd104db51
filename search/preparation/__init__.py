"""Everything checked, compressed and scored before the first trial."""
