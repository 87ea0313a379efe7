"""Our hot paths side by side with what a user would otherwise run: ratios, never a lone absolute time."""
