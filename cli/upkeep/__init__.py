"""What keeps a lake: copies of what can't be made again, and room on the disk."""
