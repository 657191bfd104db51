"""The loop that joins the rooms: study, solver, workers, record, front, export, command line."""
