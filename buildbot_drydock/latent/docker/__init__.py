"""Containers of Docker Engine, or of Podman, as build hosts."""
