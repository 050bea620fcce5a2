"""What users have spent."""
