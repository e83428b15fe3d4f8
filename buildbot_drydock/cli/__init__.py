"""The command ``drydock``: it asks a master over HTTP, and shares no code with what it asks."""
