"""What the doctor does in processes of their own; each module has one function, `work`."""
