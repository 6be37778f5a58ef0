"""MLflow: tracking, registered versions, and the bundles that they hold."""
