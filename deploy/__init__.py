"""After training: export, runtimes, pictures, doctor."""
