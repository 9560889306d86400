"""Label Studio's ML-backend protocol: predictions for annotators, annotations as feedback.

Its calls say little and are never repeated (START_TRAINING carries no tasks, webhooks have no
signature), so they only have the project's annotations pulled by its API and reconciled.
"""
