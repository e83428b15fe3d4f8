"""Hosts that are containers of Docker Engine, or of Podman, reached by exec."""
