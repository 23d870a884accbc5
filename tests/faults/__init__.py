"""Tools that break what evalsvc stands on: its system calls, its power, itself. Debian's strace does the breaking."""
