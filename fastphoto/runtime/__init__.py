"""The process and the machine: devices, threads, memory, and files written whole."""
