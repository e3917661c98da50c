"""What differs between two versions, and who changed it."""
