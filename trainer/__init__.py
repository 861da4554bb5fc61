"""The churn model: trained on what Feast retrieves, evaluated honestly, scored with reasons.

Entries: `trainer.train.train`, `trainer.score.score`, `trainer.registry.champion`.
"""
