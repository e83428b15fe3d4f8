"""The commands of ``drydock``, one module per group; ``program`` lists the modules."""
