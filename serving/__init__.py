"""The scoring API: who is about to leave, and why, from the features online and the champion.

Entry: `serving.server.serve`. No Spark, and no Java.
"""
