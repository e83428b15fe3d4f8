"""Pods of Kubernetes as build hosts."""
