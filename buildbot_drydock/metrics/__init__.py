"""What Prometheus is told: counts of what there is, of what happened, and how long things took."""
