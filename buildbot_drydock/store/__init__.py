"""The Drydock tables: one contract, an implementation in SQL and one in memory."""
