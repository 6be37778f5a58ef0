"""MLflow: tracking, model versions, and the bundles they hold."""
