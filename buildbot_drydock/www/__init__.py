"""Drydock in Buildbot's data API: resource types, actions, rules of who may, and live messages."""
