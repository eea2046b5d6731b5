"""What a plan holds beside its numbers: roles, memory, tried rewards; as a page and as JSON."""
