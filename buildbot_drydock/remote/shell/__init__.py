"""A Unix machine as a host, by POSIX shell scripts, whatever way it is reached."""
