"""MLflow as a view of the study."""
