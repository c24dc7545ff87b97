"""What travels inside packets: one module for each document type, and the registry of types."""
