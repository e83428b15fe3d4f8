"""A machine reached over SSH as a host. Nothing has to be installed on it but a POSIX shell."""
