"""Train the churn model on Feast features, evaluate it on unseen rows, and score with reasons.

Entry points: `trainer.train.train`, `trainer.score.score`, `trainer.registry.champion`.
"""
