"""Storms over the whole of Drydock, each from one seed."""
