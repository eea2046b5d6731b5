"""What would happen, and every problem that shows beforehand; outlook.py says what comes out."""
