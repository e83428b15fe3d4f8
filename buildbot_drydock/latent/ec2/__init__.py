"""Hosts that are instances of Amazon EC2. ``pool`` is what a user writes; boto3 is needed to run it."""
