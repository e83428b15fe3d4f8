"""Hosts that are pods of Kubernetes, reached by exec."""
