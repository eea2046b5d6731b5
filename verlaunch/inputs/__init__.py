"""What is trained and on what: model, data, and the demo that needs neither."""
