"""Serve churn scores over HTTP: which customers are about to leave, and why.

The API uses the features in the online store and the champion. Entry point: `serving.server.serve`.
No Spark, and no Java.
"""
