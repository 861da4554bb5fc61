"""What was: who wrote what, what changed between two runs, a past run made again."""
