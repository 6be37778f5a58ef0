"""Events that trigger retraining. Anything may emit them: an upload hook, `prefect event emit`."""

INK_ARRIVED = "handwriting.ink.arrived"
DRIFT_DETECTED = "handwriting.drift.detected"

RESOURCE = {"prefect.resource.id": "handwriting.recognizer"}
